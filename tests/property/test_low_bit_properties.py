"""What must hold for binary and ternary numbers and for given steps, any weights and any input."""

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from qdiag.calibrators import CALIBRATORS
from qdiag.core.scheme import TensorScheme
from qdiag.numerics.quantizers.base import Quantizer

WEIGHTS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=4, max_side=4),
    elements=st.floats(-100, 100, width=32, allow_subnormal=False),
)
SCHEMES = st.builds(
    lambda kind, per_channel, scale: TensorScheme(
        bits=1 if kind == "binary" else 2,
        type=kind,
        granularity="per_channel" if per_channel else "per_tensor",
        scale=scale,
    ),
    st.sampled_from(["binary", "ternary"]),
    st.booleans(),
    st.sampled_from(["float32", "none"]),
)


def made(weight: Tensor, scheme: TensorScheme) -> Quantizer:
    return CALIBRATORS["minmax"].weight(weight, scheme, 0)


@settings(max_examples=100, deadline=None)
@given(WEIGHTS, SCHEMES)
def test_few_levels_that_are_mirrored_and_never_beyond_the_largest_weight(
    values: np.ndarray, scheme: TensorScheme
) -> None:
    weight = torch.from_numpy(values)
    found = made(weight, scheme).fake_quantize(weight)
    assert found.shape == weight.shape
    rows = found.flatten(1) if scheme.granularity == "per_channel" else found.reshape(1, -1)
    for row, own in zip(rows, weight.flatten(1) if len(rows) > 1 else [weight], strict=False):
        magnitudes = row.abs().unique()
        assert len(magnitudes[magnitudes > 0.0]) <= 1
        assert scheme.type == "ternary" or len(magnitudes) == 1
        if scheme.scale_name == "float32":
            assert float(row.abs().max()) <= float(own.abs().max()) * (1 + 1e-6)


@settings(max_examples=100, deadline=None)
@given(WEIGHTS, SCHEMES)
def test_rounding_twice_is_rounding_once(values: np.ndarray, scheme: TensorScheme) -> None:
    """With the quantizer of the weight: levels are rounded to themselves, where the magnitude reaches the threshold."""
    weight = torch.from_numpy(values)
    q = made(weight, scheme)
    once = q.fake_quantize(weight)
    assume(scheme.type == "binary" or scheme.scale_name == "float32")
    torch.testing.assert_close(q.fake_quantize(once), once, rtol=0, atol=0)


@settings(max_examples=100, deadline=None)
@given(WEIGHTS, SCHEMES, st.booleans())
def test_a_mirrored_weight_has_mirrored_values(values: np.ndarray, scheme: TensorScheme, is_half: bool) -> None:
    """Zeros aside, whose sign is +; and a scaled weight has scaled values where they have a magnitude."""
    weight = torch.from_numpy(values)
    found = made(weight, scheme).fake_quantize(weight)
    mirrored = made(-weight, scheme).fake_quantize(-weight)
    away = weight != 0.0
    torch.testing.assert_close(mirrored[away], -found[away], rtol=0, atol=0)
    factor = 0.5 if is_half else 4.0
    assume(float(weight.abs().max()) < 1e30 and bool((weight.abs()[away] > 1e-30).all()))
    scaled = made(weight * factor, scheme).fake_quantize(weight * factor)
    expected = found * factor if scheme.scale_name == "float32" else found
    torch.testing.assert_close(scaled, expected, rtol=1e-6, atol=0)


@settings(max_examples=100, deadline=None)
@given(WEIGHTS)
def test_no_other_magnitude_of_the_signs_is_nearer(values: np.ndarray) -> None:
    weight = torch.from_numpy(values)
    q = made(weight, TensorScheme(bits=1, type="binary", scale="float32"))
    found, exact = q.fake_quantize(weight).double(), weight.double()
    least = float((exact - found).square().sum())
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert float((exact - factor * found).square().sum()) >= least * (1 - 1e-6)


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(-1000, 1000, width=32, allow_subnormal=False)),
    st.integers(2, 8),
    st.integers(-6, 6),
    st.integers(0, 200),
)
def test_given_steps_give_their_multiples_inside_their_bounds(
    values: np.ndarray, bits: int, exponent: int, below: int
) -> None:
    step, count = 2.0**exponent, 1 << bits
    low = -(below % count)
    scheme = TensorScheme(bits=bits, type="linear", step=step, range=(low * step, (low + count - 1) * step))
    x = torch.from_numpy(values)
    q = CALIBRATORS["minmax"].weight(x, scheme, 0)
    found = q.fake_quantize(x)
    integers = found / step
    torch.testing.assert_close(integers, integers.round(), rtol=0, atol=0)
    assert float(integers.min()) >= low and float(integers.max()) <= low + count - 1
    torch.testing.assert_close(q.fake_quantize(found), found, rtol=0, atol=0)
    inside = (x >= low * step) & (x <= (low + count - 1) * step)
    assert bool(((x - found).abs()[inside] <= step / 2).all())
