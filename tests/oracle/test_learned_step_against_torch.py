"""Learned steps against torch's learnable fake quantizers, whose zero point is held."""

import pytest
import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.straight_through.learned_step import gradient_scale
from qdiag.train.network.derivatives import LearnedStep, quantized


def values(*shape: int) -> Tensor:
    return 2.0 * torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize(("low", "high", "zero_point"), [(-8, 7, 0.0), (-7, 7, 0.0), (0, 15, 4.0), (0, 255, 0.0)])
def test_per_tensor(low: int, high: int, zero_point: float) -> None:
    x, step = values(6, 5, 4, 4).requires_grad_(), torch.tensor(0.11, requires_grad=True)
    quantizer = Affine(step.detach().clone(), torch.tensor(zero_point), low, high)
    own = quantized(x, quantizer, LearnedStep(step, 80))
    weight = values(6, 5, 4, 4).flip(0)
    own_gradients = torch.autograd.grad((own * weight).sum(), [x, step])

    y, scale = x.detach().clone().requires_grad_(), torch.tensor([0.11], requires_grad=True)
    factor = gradient_scale(80, high)
    other = torch._fake_quantize_learnable_per_tensor_affine(y, scale, torch.tensor([zero_point]), low, high, factor)
    theirs = torch.autograd.grad((other * weight).sum(), [y, scale])
    torch.testing.assert_close(own, other)
    torch.testing.assert_close(own_gradients[0], theirs[0], rtol=0.0, atol=0.0)
    torch.testing.assert_close(own_gradients[1], theirs[1].squeeze(), rtol=1e-4, atol=1e-6)


def test_per_channel() -> None:
    x, step = values(3, 4, 2, 2).requires_grad_(), torch.tensor([0.1, 0.3, 0.02], requires_grad=True)
    quantizer = Affine(step.detach().clone(), torch.zeros(3), -8, 7, channel_axis=0)
    own = quantized(x, quantizer, LearnedStep(step, 16))
    weight = values(3, 4, 2, 2).flip(1)
    own_gradients = torch.autograd.grad((own * weight).sum(), [x, step])

    y, scale = x.detach().clone().requires_grad_(), step.detach().clone().requires_grad_()
    factor = gradient_scale(16, 7)
    other = torch._fake_quantize_learnable_per_channel_affine(y, scale, torch.zeros(3), 0, -8, 7, factor)
    theirs = torch.autograd.grad((other * weight).sum(), [y, scale])
    torch.testing.assert_close(own, other)
    torch.testing.assert_close(own_gradients[0], theirs[0], rtol=0.0, atol=0.0)
    torch.testing.assert_close(own_gradients[1], theirs[1], rtol=1e-4, atol=1e-6)


def test_the_gradient_is_scaled_by_the_root_of_the_values_and_the_largest_integer() -> None:
    assert gradient_scale(100, 7) == pytest.approx(1.0 / (700.0**0.5))


def test_the_formula_written_out() -> None:
    """LSQ, equation 3: round(q) - q inside, the bound beyond it."""
    x = torch.tensor([-5.0, -0.26, 0.1, 0.3, 9.0], requires_grad=True)
    step = torch.tensor(0.5, requires_grad=True)
    quantizer = Affine(torch.tensor(0.5), torch.tensor(0.0), -4, 3)
    out = quantized(x, quantizer, LearnedStep(step, 5))
    gradients = torch.autograd.grad(out.sum(), [x, step])
    assert gradients[0].tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    expected = (-4.0 + (-1.0 + 0.52) + (0.0 - 0.2) + (1.0 - 0.6) + 3.0) / (5 * 3) ** 0.5
    assert float(gradients[1]) == pytest.approx(expected, rel=1e-5)
