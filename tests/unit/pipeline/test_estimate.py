"""What a run is said to cost: arithmetic that layers share, and the scoring of every network, which nothing saves."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from qdiag.core.formats.other_widths import schemes_at
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.pipeline.estimate import estimate, estimate_sweep
from qdiag.pipeline.sensitivity import SensitivityOptions
from qdiag.simulate.case import Case
from qdiag.simulate.sweeps.sensitivity import switchable_layers
from qdiag.simulate.task.scoring import Scoreboard, Scored
from qdiag.writers.plots.drawing.drawing_time import drawing_seconds
from tests.cases import SESSION, open_test_case

SCORING_S = 0.01
"""Of making the figures of one network."""
BATCH_S = 0.001
"""Of each look at the clock."""


class Clock:
    """Goes on when it is looked at, and when somebody says so."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def perf_counter(self) -> float:
        self.now_s += BATCH_S
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    shown = SimpleNamespace(perf_counter=clock.perf_counter)
    monkeypatch.setattr("qdiag.pipeline.estimate.time", shown)
    monkeypatch.setattr("qdiag.writers.plots.drawing.drawing_time.time", shown)
    return clock


@pytest.fixture
def case() -> Case:
    return open_test_case(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval(), torch.randn(8, 3))


def slowly(scored: Callable[[Scoreboard], Scored], clock: Clock) -> Callable[[Scoreboard], Scored]:
    def after_a_while(board: Scoreboard) -> Scored:
        clock.now_s += SCORING_S
        return scored(board)

    return after_a_while


def test_the_scoring_of_every_network_counts(case: Case, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scoreboard, "scored", slowly(Scoreboard.scored, clock))
    layers, widths = len(switchable_layers(case, "both")), len(schemes_at(case.scheme))
    found = estimate(SESSION, case, DiagnoseOptions())
    assert found.repairs_s >= 30 * SCORING_S
    assert found.sweeps_s >= (layers + 4) * SCORING_S
    everything = estimate(SESSION, case, DiagnoseOptions(is_exhaustive=True))
    assert everything.sweeps_s >= (layers + widths) * SCORING_S > found.sweeps_s
    assert found.examine_s == pytest.approx(20.0 * found.pass_s)
    assert estimate(SESSION, case, DiagnoseOptions(with_sensitivity=False, with_bits=False)).sweeps_s == 0.0
    assert found.total_s == pytest.approx(found.examine_s + found.repairs_s + found.sweeps_s)
    assert estimate_sweep(SESSION, case, SensitivityOptions()).sweeps_s >= layers * SCORING_S
    assert estimate_sweep(SESSION, case, SensitivityOptions(with_exact=False)).sweeps_s < layers * SCORING_S


def test_pictures_take_as_long_as_a_plain_one_says(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw() -> None:
        clock.now_s += SCORING_S

    monkeypatch.setattr("qdiag.writers.plots.drawing.drawing_time._draw", draw)
    assert drawing_seconds(3) == pytest.approx(14 * 1.5 * (SCORING_S + BATCH_S))
    assert drawing_seconds(500) > drawing_seconds(3)
