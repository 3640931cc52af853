"""What a run is said to cost: arithmetic that layers share, and the scoring of every network, which nothing saves."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from qdiag.core.formats.other_widths import schemes_at
from qdiag.files.cache_folder import FolderCache
from qdiag.pipeline.diagnose import DiagnoseOptions, open_ledger
from qdiag.pipeline.estimate import EXAMINE, LOSSES, estimate, estimate_sweep
from qdiag.pipeline.sensitivity import SensitivityOptions
from qdiag.simulate.case import Case
from qdiag.simulate.passes.pass_cache import PassKeeper
from qdiag.simulate.session import Session
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
    assert found.harmed["rank"] - found.healthy["rank"] >= 30 * SCORING_S
    assert found.healthy["sensitivity"] >= layers * SCORING_S
    assert found.healthy["bits"] >= 4 * SCORING_S
    everything = estimate(SESSION, case, DiagnoseOptions(is_exhaustive=True))
    assert everything.harmed["bits"] >= widths * SCORING_S > found.harmed["bits"]
    assert found.healthy["simulate"] == pytest.approx((EXAMINE + LOSSES) * found.pass_s)
    assert {*estimate(SESSION, case, DiagnoseOptions(with_sensitivity=False, with_bits=False)).harmed} == {
        "simulate",
        "rank",
    }
    assert found.harmed_s == pytest.approx(sum(found.harmed.values()))
    with_report = estimate(SESSION, case, DiagnoseOptions(), with_report=True, pictures_s=5.0)
    assert 5.5 < with_report.healthy["report"] < 7.0
    assert estimate_sweep(SESSION, case, SensitivityOptions()).harmed_s >= layers * SCORING_S
    assert estimate_sweep(SESSION, case, SensitivityOptions(with_exact=False)).harmed_s < layers * SCORING_S


def test_what_an_earlier_run_left_is_not_waited_for(case: Case, clock: Clock, tmp_path: Path) -> None:
    """A stage that was finished costs what it did beside its passes, and those that are gone meanwhile."""

    def session() -> Session:
        return Session(passes=PassKeeper(FolderCache(tmp_path)))

    anew, first = estimate(session(), case, DiagnoseOptions()), session()
    open_ledger(first, case, DiagnoseOptions())
    assert first.passes.ledger is not None
    key, other_key = "0" * 64, "1" * 64
    with first.passes_stage("simulate"):
        first.passes.ledger.add(key, 30.0)
    with pytest.raises(KeyboardInterrupt), first.passes_stage("rank"):
        first.passes.ledger.add(other_key, anew.harmed["rank"] / 2.0)
        raise KeyboardInterrupt
    again = estimate(session(), case, DiagnoseOptions())
    assert again.healthy["simulate"] == pytest.approx(30.0, abs=0.1)  # the pass is gone, and nothing else was done
    assert again.harmed["rank"] == pytest.approx(anew.harmed["rank"])
    for kept in (key, other_key):
        FolderCache(tmp_path).put(kept, b"x")
    again = estimate(session(), case, DiagnoseOptions())
    assert again.healthy["simulate"] == pytest.approx(0.0, abs=0.1)
    assert again.harmed["rank"] == pytest.approx(anew.harmed["rank"] / 2.0)
    assert not again.is_known
    other = estimate(session(), case, DiagnoseOptions(full_losses=True))
    assert other.healthy["simulate"] == pytest.approx(anew.healthy["simulate"])  # of another kind of run
    for stage in ("simulate", "sensitivity", "rank", "bits"):
        with first.passes_stage(stage):
            pass
    assert estimate(session(), case, DiagnoseOptions()).is_known
    for note in tmp_path.glob("*.note"):
        note.write_bytes(b"damaged")
    assert estimate(session(), case, DiagnoseOptions()).healthy["simulate"] == pytest.approx(anew.healthy["simulate"])


def test_pictures_take_as_long_as_a_plain_one_says(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw() -> None:
        clock.now_s += SCORING_S

    monkeypatch.setattr("qdiag.writers.plots.drawing.drawing_time._draw", draw)
    assert drawing_seconds(3) == pytest.approx(14 * 1.5 * (SCORING_S + BATCH_S))
    assert drawing_seconds(500) > drawing_seconds(3)
