"""Powers of two against LogQuant of arXiv 1603.01025, section 3, written in float64 with log2."""

import math

import numpy as np
import pytest
import torch

from qdiag.calibrators import CALIBRATORS
from qdiag.core.scheme import TensorScheme
from qdiag.numerics.quantizers.power_of_two import PowerOfTwo

SCHEME = TensorScheme(bits=4, type="power_of_two")


def log_quant(x: np.ndarray, largest: float, bits: int, *, signed: bool) -> np.ndarray:
    """`clip(2^round(log2 |x|)) * sign(x)` with the exponents from FSR - N + 1 to FSR, 0 below."""
    count = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
    fsr = np.round(np.log2(np.float64(largest)))
    magnitude = np.abs(x.astype(np.float64))
    with np.errstate(divide="ignore"):
        exponent = np.round(np.log2(magnitude))
    value = np.where(exponent < max(fsr - count + 1, -125), 0.0, 2.0 ** np.minimum(exponent, fsr))
    value = np.sign(x) * value
    return (value if signed else np.maximum(value, 0.0)).astype(np.float32)


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("largest", [1.0, 5.9, 3e-7, 2e8, 3.4e38])
def test_a_tensor(bits: int, signed: bool, largest: float) -> None:
    rng = np.random.default_rng(bits)
    spread = np.concatenate([rng.normal(size=4000), 2.0 ** rng.uniform(-140, 1, 4000) * rng.choice([-1, 1], 4000)])
    x = np.clip(spread * largest, -largest, largest).astype(np.float32)
    x[:4] = 0.0, -0.0, largest, -largest
    low, high = torch.tensor(-largest), torch.tensor(largest)
    q = PowerOfTwo.from_range(low, high, TensorScheme(bits=bits, signed=signed, type="power_of_two"))
    expected = log_quant(x, min(largest, 2.0**127), bits, signed=signed)
    np.testing.assert_array_equal(q.fake_quantize(torch.from_numpy(x)).numpy(), expected)
    in_place = torch.from_numpy(x.copy())
    q.fake_quantize_chunk(in_place, in_place)
    np.testing.assert_array_equal(in_place.numpy(), expected)


def test_the_floats_beside_every_border() -> None:
    """2^(e + 1/2) is no float; the two floats beside it round to different sides, in float32 as in float64."""
    border = np.array([2.0 ** (e + 0.5) for e in range(-100, 100)])
    below = border.astype(np.float32)
    below = np.where(below.astype(np.float64) > border, np.nextafter(below, np.float32(0)), below)
    above = np.nextafter(below, np.float32(np.inf))
    q = PowerOfTwo.from_range(torch.tensor(-(2.0**101)), torch.tensor(2.0**101), TensorScheme(bits=9))
    powers = 2.0 ** np.arange(-100, 100)
    np.testing.assert_array_equal(q.fake_quantize(torch.from_numpy(below)).numpy(), powers.astype(np.float32))
    np.testing.assert_array_equal(q.fake_quantize(torch.from_numpy(above)).numpy(), (2.0 * powers).astype(np.float32))
    np.testing.assert_array_equal(log_quant(above, 2.0**101, 9, signed=True), (2.0 * powers).astype(np.float32))


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "strided"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_weight_per_channel(axis: int, layout: str) -> None:
    weight = torch.randn(6, 6, 3, 3, generator=torch.Generator().manual_seed(1))
    weight *= torch.logspace(-3, 3, 6).view([-1 if i == axis else 1 for i in range(4)])
    if layout == "channels_last":
        weight = weight.contiguous(memory_format=torch.channels_last)
    elif layout == "strided":
        weight = weight.repeat(1, 1, 1, 2)[..., ::2]
    scheme = TensorScheme(bits=4, granularity="per_channel", type="power_of_two")
    q = CALIBRATORS["minmax"].weight(weight, scheme, axis)
    rows = weight.movedim(axis, 0).numpy()
    expected = np.stack([log_quant(row, np.abs(row).max(), 4, signed=True) for row in rows])
    np.testing.assert_array_equal(q.fake_quantize(weight).movedim(axis, 0).numpy(), expected)


def test_a_weight_per_group() -> None:
    weight = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(2))
    scheme = TensorScheme(bits=3, granularity="per_group", group_size=8, type="power_of_two")
    q = CALIBRATORS["minmax"].weight(weight, scheme, 0)
    groups = [weight.reshape(3, 20)[:, first : first + 8].numpy() for first in (0, 8, 16)]
    expected = [np.stack([log_quant(row, np.abs(row).max(), 3, signed=True) for row in group]) for group in groups]
    np.testing.assert_array_equal(q.fake_quantize(weight).reshape(3, 20).numpy(), np.concatenate(expected, 1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_types_of_float_keep_their_type(dtype: torch.dtype) -> None:
    x = torch.randn(50, generator=torch.Generator().manual_seed(3)).to(dtype)
    q = PowerOfTwo.from_range(torch.tensor(-3.0), torch.tensor(3.0), SCHEME)
    assert q.fake_quantize(x).dtype == dtype
    np.testing.assert_array_equal(q.fake_quantize(x).float().numpy(), log_quant(x.float().numpy(), 3.0, 4, signed=True))


def test_values_that_are_not_finite() -> None:
    q = PowerOfTwo.from_range(torch.tensor(-3.0), torch.tensor(3.0), SCHEME)
    values = q.fake_quantize(torch.tensor([math.nan, -math.nan, math.inf, -math.inf])).tolist()
    assert all(map(math.isnan, values[:2]))
    assert values[2:] == [4.0, -4.0]
    per_channel = PowerOfTwo(torch.tensor([1.0]), 4, True, channel_axis=0)
    assert math.isnan(float(per_channel.fake_quantize(torch.tensor([[math.nan]]))))


def test_the_range_with_the_least_error_is_found() -> None:
    """The search of `mse` rounds with the format itself: a brute search over all exponents finds nothing better."""
    x = torch.randn(2000, generator=torch.Generator().manual_seed(4))
    x[0] = 100.0
    scheme = TensorScheme(bits=3, calibrator="mse", type="power_of_two")
    q = CALIBRATORS["mse"].weight(x, scheme, 0)
    errors = {
        e: float(np.square(x.numpy() - log_quant(x.numpy(), 2.0**e, 3, signed=True)).sum(dtype=np.float64))
        for e in range(-4, 8)
    }
    assert isinstance(q, PowerOfTwo)
    assert float(q.exponent) == min(errors, key=lambda e: errors[e])
