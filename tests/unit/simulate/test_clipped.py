"""What quantizers clip is counted where it can happen, and not looked for where a clamp rules it out."""

import math

import pytest
import torch
from torch import Tensor, nn

import qdiag
from qdiag.numerics.quantizers.base import Clamp
from qdiag.simulate.passes import paired

WIDE = 10.0 * torch.randn(32, 4, generator=torch.Generator().manual_seed(0))


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU6(), nn.Linear(8, 4), nn.ReLU()).eval()


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of what was searched for clipped values."""
    found: list[tuple[int, ...]] = []
    clipped = paired._clipped

    def searching(reference: Tensor, low: float, high: float, clamp: Clamp) -> float | Tensor:
        found.append(tuple(reference.shape))
        return clipped(reference, low, high, clamp)

    monkeypatch.setattr(paired, "_clipped", searching)
    return found


def test_a_clamp_that_the_quantizer_holds_is_not_searched(searched: list[tuple[int, ...]]) -> None:
    result = qdiag.measure(net(), [WIDE])
    assert result.record("0").quantizer is not None
    assert result.record("0").clipped_count == 0
    assert (32 * 8,) not in searched, "the first layer reaches 6"
    assert len(searched) == 2, "the input, and the last layer, which has no upper bound"


def test_a_clamp_beyond_the_quantizer_is(searched: list[tuple[int, ...]]) -> None:
    result = qdiag.measure(net(), [WIDE], calibration=[0.01 * WIDE])
    with torch.no_grad():
        values = net()[:2](WIDE)
    bounds = result.record("0").quantizer
    assert bounds is not None and bounds.scale is not None
    expected = int((values > bounds.range_max + 0.5 * bounds.scale).sum())
    assert result.record("0").clipped_count == expected > 0
    assert (32 * 8,) in searched


@pytest.mark.parametrize("clamp", [(-math.inf, math.inf), (0.0, math.inf), (-1.0, 1.0), (-0.25, 6.0)])
@pytest.mark.parametrize("bounds", [(-0.5, 0.5), (0.0, 0.5), (-0.1, 9.0), (-2.0, 2.0)])
def test_all_that_lies_beyond_is_counted_whatever_the_clamp_leaves_open(clamp: Clamp, bounds: Clamp) -> None:
    values = WIDE.flatten().div(10.0).clamp(*clamp)
    expected = int(((values.numpy() < bounds[0]) | (values.numpy() > bounds[1])).sum())
    assert paired._clipped(values, *bounds, clamp) == expected
