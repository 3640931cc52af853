"""Ternary weights against arXiv 1605.04711, equations 3 to 6, written in float64 NumPy."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from qdiag.calibrators import CALIBRATORS
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.quantizers import QUANTIZERS
from qdiag.numerics.quantizers.base import Quantizer

Numbers = NDArray[np.float64]


def twn(w: Numbers, *, scaled: bool = True) -> Numbers:
    """Threshold 0.7 E|W|, and E|W| over the weights beyond it."""
    threshold = 0.7 * np.abs(w).sum() / w.size
    kept = [abs(value) for value in w.flatten() if abs(value) > threshold]
    alpha = (sum(kept) / len(kept) if kept else 0.0) if scaled else 1.0
    return np.where(w > threshold, alpha, np.where(w < -threshold, -alpha, 0.0))


def made(weight: torch.Tensor, axis: int = 0, **fields: object) -> Quantizer:
    scheme = TensorScheme(bits=2, type="ternary", **fields)  # type: ignore[arg-type]
    return CALIBRATORS["minmax"].weight(weight, scheme, axis)


@pytest.mark.parametrize("shape", [(6, 5, 3, 3), (4, 7)])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("granularity", ["per_tensor", "per_channel"])
@pytest.mark.parametrize("scale", ["float32", "none", None])
def test_a_weight(shape: tuple[int, ...], axis: int, granularity: str, scale: str | None) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 0.1
    q = made(weight, axis, granularity=granularity, scale=scale)
    rows = weight.movedim(axis, 0).double().numpy()
    scaled = scale != "none"
    per_channel = granularity == "per_channel"
    expected = np.stack([twn(row, scaled=scaled) for row in rows]) if per_channel else twn(rows, scaled=scaled)
    found = q.fake_quantize(weight)
    np.testing.assert_allclose(found.movedim(axis, 0).numpy(), expected, rtol=1e-6)
    assert q.scale_bytes(weight.shape) == (4 * (shape[axis] if per_channel else 1) if scaled else 0)


def test_values_at_the_threshold_are_zero() -> None:
    weight = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    q = made(weight)
    at = torch.tensor([0.7, -0.7, 0.70001, -0.70001, math.inf, -math.inf]).float()
    assert q.fake_quantize(at).tolist() == [0.0, 0.0, 1.0, -1.0, 1.0, -1.0]
    q.fake_quantize_chunk(at, at)
    assert at.tolist() == [0.0, 0.0, 1.0, -1.0, 1.0, -1.0]


def test_a_channel_of_zeros_stays_zero() -> None:
    weight = torch.tensor([[0.0, 0.0], [1.0, -3.0]])
    q = made(weight, granularity="per_channel")
    assert q.fake_quantize(weight).tolist() == [[0.0, 0.0], [0.0, -3.0]]
    assert q.record().range_max == 3.0


def test_nan_stays_nan_and_makes_no_quantizer() -> None:
    x = torch.tensor([[math.nan, 5.0]])
    for q in (made(torch.ones(2, 2)), made(torch.ones(1, 2), granularity="per_channel")):
        assert q.fake_quantize(x).isnan().tolist() == [[True, False]]
    with pytest.raises(CalibrationError):
        made(x)


def test_a_range_makes_no_ternary_numbers() -> None:
    scheme = TensorScheme(bits=2, type="ternary")
    with pytest.raises(CalibrationError, match="made of the values themselves"):
        QUANTIZERS["ternary"].from_range(torch.tensor(-1.0), torch.tensor(1.0), scheme)
