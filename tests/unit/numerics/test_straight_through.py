"""Derivatives for rounding and signs, against autograd of the formulas that define them."""

import pytest
import torch
from torch import Tensor

from qdiag.numerics.straight_through.identity import identity
from qdiag.numerics.straight_through.saturated import saturated
from qdiag.numerics.straight_through.sloped import sloped

X = torch.cat([torch.linspace(-3.0, 3.0, 61), torch.tensor([-1.0, 1.0, 0.0, -0.0, 1.0000001, -1.0000001, 1e30])])


def gradient(y: Tensor, x: Tensor, weights: Tensor) -> Tensor:
    (found,) = torch.autograd.grad((y * weights).sum(), x)
    return found


def leaf() -> Tensor:
    return X.clone().requires_grad_()


@pytest.mark.parametrize("step", [1.0, 0.3])
def test_rounding_as_the_identity(step: float) -> None:
    weights = torch.randn(X.shape, generator=torch.Generator().manual_seed(1))
    x, other = leaf(), leaf()
    q = (x.detach() / step).round() * step
    y = identity(x, q)
    assert torch.equal(y, q)
    written = other + (q - other).detach()  # the identity, and a constant
    torch.testing.assert_close(gradient(y, x, weights), gradient(written, other, weights), rtol=0, atol=0)


def test_a_sign_as_the_identity_from_minus_one_to_one() -> None:
    weights = torch.randn(X.shape, generator=torch.Generator().manual_seed(2))
    x, other = leaf(), leaf()
    signs = torch.where(x.detach() >= 0.0, 1.0, -1.0)
    y = saturated(x, signs)
    assert torch.equal(y, signs)
    clipped = other.clamp(-1.0, 1.0)  # its derivative in torch is 1 at both bounds
    written = clipped + (signs - clipped).detach()
    found = gradient(y, x, weights)
    torch.testing.assert_close(found, gradient(written, other, weights), rtol=0, atol=0)
    torch.testing.assert_close(found, weights * (X.abs() <= 1.0), rtol=0, atol=0)


@pytest.mark.parametrize("estimator", [identity, saturated])
def test_they_go_through_chains_and_leave_what_they_were_given(estimator: object) -> None:
    """d/dx of (a q(b x))^2 is 2 a q(b x) a b, where q passes."""
    x = torch.tensor([0.4, -0.2], requires_grad=True)
    scaled = 2.0 * x
    q = torch.where(scaled.detach() >= 0.0, 1.0, -1.0)
    y = estimator(scaled, q)  # type: ignore[operator]
    (found,) = torch.autograd.grad((3.0 * y).square().sum(), x)
    torch.testing.assert_close(found, 2.0 * 3.0 * q * 3.0 * 2.0)
    assert y is not q and not q.requires_grad


def test_a_slope_for_each_value() -> None:
    """Rounding inside a range, against clip and a constant."""
    weights = torch.randn(X.shape, generator=torch.Generator().manual_seed(3))
    x, other = leaf(), leaf()
    rounded = x.detach().clamp(-2.0, 2.0).round()
    y = sloped(x, rounded, x.detach().abs() <= 2.0)
    assert torch.equal(y, rounded)
    clipped = other.clamp(-2.0, 2.0)
    written = clipped + (rounded - clipped).detach()
    torch.testing.assert_close(gradient(y, x, weights), gradient(written, other, weights), rtol=0, atol=0)
    x = leaf()
    found = gradient(sloped(x, rounded, torch.full_like(X, 2.5)), x, weights)
    torch.testing.assert_close(found, 2.5 * weights, rtol=0, atol=0)
