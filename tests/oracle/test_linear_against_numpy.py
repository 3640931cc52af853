"""Given steps between given bounds against LinearQuant of arXiv 1603.01025, written in float64 NumPy."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qdiag.core.formats.low_bits import steps_at_bits
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError, ConfigError
from qdiag.numerics.quantizers import QUANTIZERS

Numbers = NDArray[np.float64]


def linear_quant(x: Numbers, step: float, low: float, high: float) -> Numbers:
    return np.minimum(np.maximum(np.round(x / step) * step, low), high)


def scheme_of(step: float, low: float, high: float, bits: int = 8) -> TensorScheme:
    return TensorScheme(bits=bits, type="linear", step=step, range=(low, high))


@pytest.mark.parametrize(
    ("step", "low", "high", "bits"), [(0.125, -1.0, 0.875, 4), (0.25, 0.0, 3.75, 4), (2.0, -6.0, 8.0, 3)]
)
def test_a_tensor(step: float, low: float, high: float, bits: int) -> None:
    x = torch.randn(5000, generator=torch.Generator().manual_seed(1)) * high
    x[:4] = torch.tensor([step / 2, -step / 2, 1.5 * step, high + step])
    q = QUANTIZERS["linear"].from_range(x.min(), x.max(), scheme_of(step, low, high, bits))
    expected = linear_quant(x.double().numpy(), step, low, high)
    np.testing.assert_array_equal(q.fake_quantize(x).numpy(), expected.astype(np.float32))
    record = q.record()
    assert (record.type, record.scale, record.zero_point) == ("linear", step, 0)
    assert (record.range_min, record.range_max, record.level_count) == (low, high, round((high - low) / step) + 1)
    assert q.clip_bounds == (low - step / 2, high + step / 2)


def test_what_is_seen_does_not_matter_but_for_being_finite() -> None:
    scheme = scheme_of(0.5, -4.0, 3.5)
    narrow, wide = (QUANTIZERS["linear"].from_range(torch.tensor(-x), torch.tensor(x), scheme) for x in (0.1, 100.0))
    assert narrow.key == wide.key
    with pytest.raises(CalibrationError):
        QUANTIZERS["linear"].from_range(torch.tensor(math.nan), torch.tensor(1.0), scheme)


@pytest.mark.parametrize("bits", [3, 5, 6])
@pytest.mark.parametrize(("low", "high"), [(-1.0, 0.875), (0.0, 1.875), (-0.125, 1.75)])
def test_other_widths_keep_the_bounds_as_far_as_their_steps_do(bits: int, low: float, high: float) -> None:
    scheme = scheme_of(0.125, low, high, 4)
    other = scheme.at_bits(bits)
    assert (other.bits, other.step) == (bits, 0.125 * 2.0 ** (4 - bits))
    assert other.range is not None and other.step is not None
    assert low <= other.range[0] < low + other.step and high - other.step < other.range[1] <= high
    assert scheme.at_bits(4) is scheme
    assert steps_at_bits(scheme, 4) == {"step": 0.125, "range": (low, high)}


def test_a_width_too_small_for_one_step_has_one_all_the_same() -> None:
    other = scheme_of(1.0, -1.0, 2.0, 4).at_bits(2)
    assert (other.step, other.range) == (4.0, (0.0, 4.0))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"step": 0.5}, "needs step and range"),
        ({"range": (-1.0, 1.0)}, "needs step and range"),
        ({"step": -0.5, "range": (-1.0, 1.0)}, "step = -0.5"),
        ({"step": 0.3, "range": (-1.0, 1.0)}, "with step = 0.3"),
        ({"step": 0.5, "range": (1.0, 2.0)}, "range = \\[1.0, 2.0\\]"),
        ({"step": 0.125, "range": (-1.0, 1.0), "bits": 4}, "17 values"),
        ({"step": 0.5, "range": (-1.0, 1.0), "granularity": "per_channel"}, "granularity = per_channel"),
        ({"step": 0.5, "range": (-1.0, 1.0), "calibrator": "mse"}, "calibrator = mse"),
    ],
)
def test_what_contradicts_the_format_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TensorScheme(type="linear", **fields)  # type: ignore[arg-type]
