"""Compiled sweeps over a chunk against torch: rounding bit for bit, sums against float64."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import qdiag
from qdiag.numerics.chunks import compiled
from qdiag.numerics.chunks.compiled import round_chunk, sum_chunk

pytest.importorskip("numba")
SCALE, LOW, HIGH = 0.03, -100.0, 90.0


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "LEAST", 1)


def values(count: int = 5000) -> torch.Tensor:
    x = 3.0 * torch.randn(count, generator=torch.Generator().manual_seed(0))
    x[:8] = torch.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0, 0.5 * SCALE, 1.5 * SCALE, 1e-40])
    return x


def test_rounding_is_that_of_torch_bit_for_bit() -> None:
    x = values()
    expected = torch.div(x, SCALE).round_().clamp_(LOW, HIGH).mul_(SCALE)
    target = torch.empty_like(x)
    assert round_chunk(x, target, scale=SCALE, low=LOW, high=HIGH)
    assert torch.equal(target.isnan(), x.isnan()) and torch.equal(target.nan_to_num(7.0), expected.nan_to_num(7.0))
    assert round_chunk(x, x, scale=SCALE, low=LOW, high=HIGH)
    assert torch.equal(x.nan_to_num(7.0), expected.nan_to_num(7.0))


def test_sums_are_those_of_float64() -> None:
    reference = values()[8:]
    simulated = (reference / SCALE).round() * SCALE
    error = simulated.double() - reference.double()
    found = sum_chunk(reference, simulated)
    assert found is not None
    assert found[0] == pytest.approx(float(error.square().sum()), rel=1e-6)
    assert found[1] == pytest.approx(float((error * reference.double()).sum()), abs=1e-6 * float(reference.norm()))
    assert found[2] == pytest.approx(float(error.sum()), abs=1e-5)
    assert found[3] == float((simulated - reference).abs().max())


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e30])
def test_sums_are_not_finite_where_a_value_is_not(bad: float) -> None:
    reference = values()[8:]
    simulated = reference.clone()
    simulated[3000] = bad
    found = sum_chunk(reference, simulated)
    assert found is not None and not np.isfinite(found[0])


def test_other_chunks_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    x = values()
    for other in (x.double(), x[::2], x.view(50, 100), x.clone().requires_grad_()):
        assert sum_chunk(other, other) is None
        assert not round_chunk(other, other, scale=SCALE, low=LOW, high=HIGH)
    monkeypatch.setattr(compiled, "LEAST", x.numel() + 1)
    assert sum_chunk(x, x) is None


def test_a_run_gives_the_same_figures_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU6(), nn.Conv2d(8, 4, 1)).eval()
    images = torch.randn(4, 3, 12, 12)
    compiled_run = qdiag.measure(net, [images])
    monkeypatch.setattr(compiled, "_kernels", lambda: None)
    for one, other in zip(compiled_run.records, qdiag.measure(net, [images]).records, strict=True):
        assert one.quantizer == other.quantizer and one.clipped_count == other.clipped_count
        assert one.propagated.max_abs_error == other.propagated.max_abs_error
        assert one.propagated.sqnr_db == pytest.approx(other.propagated.sqnr_db, abs=1e-4)
        assert one.local.error_sum == pytest.approx(other.local.error_sum, rel=1e-4, abs=1e-5)
