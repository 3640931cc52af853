"""What a run is said to cost: arithmetic that layers share, and the scoring of every network, which nothing saves."""

import time
from collections.abc import Callable

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


@pytest.fixture
def case() -> Case:
    return open_test_case(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval(), torch.randn(8, 3))


def slowly(scored: Callable[[Scoreboard], Scored]) -> Callable[[Scoreboard], Scored]:
    def after_a_while(board: Scoreboard) -> Scored:
        time.sleep(SCORING_S)
        return scored(board)

    return after_a_while


def test_the_scoring_of_every_network_counts(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scoreboard, "scored", slowly(Scoreboard.scored))
    layers, widths = len(switchable_layers(case, "both")), len(schemes_at(case.scheme))
    found = estimate(SESSION, case, DiagnoseOptions())
    assert found.repairs_s >= 30 * SCORING_S
    assert found.sweeps_s >= (layers + widths) * SCORING_S
    assert found.examine_s == pytest.approx(9.0 * found.pass_s)
    assert estimate(SESSION, case, DiagnoseOptions(with_sensitivity=False, with_bits=False)).sweeps_s == 0.0
    assert found.total_s == pytest.approx(found.examine_s + found.repairs_s + found.sweeps_s)
    assert estimate_sweep(SESSION, case, SensitivityOptions()).sweeps_s >= layers * SCORING_S
    assert estimate_sweep(SESSION, case, SensitivityOptions(with_exact=False)).sweeps_s < layers * SCORING_S


def test_pictures_take_as_long_as_a_plain_one_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qdiag.writers.plots.drawing.drawing_time._draw", lambda: time.sleep(SCORING_S))
    assert drawing_seconds(3) == pytest.approx(14 * 1.5 * SCORING_S, rel=0.5)
    assert drawing_seconds(500) > drawing_seconds(3)
