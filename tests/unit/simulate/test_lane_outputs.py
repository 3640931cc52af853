"""Outputs that are held stand for a run of the network: the same scores, and the same counts of what was done."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from qdiag.batches import Batch, Datasets
from qdiag.distributed.processes import Processes
from qdiag.files.cache_folder import FolderCache
from qdiag.loaders.data.sources import batches_from
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.passes.batchwise.kept_outputs import ScoredBatches
from qdiag.simulate.passes.pass_cache import PassKeeper
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.spread import some_of
from qdiag.simulate.session import Session
from qdiag.simulate.task.score_cases import Effort
from qdiag.simulate.task.scoring import Scored
from tests.cases import open_test_case


@pytest.fixture(scope="module")
def case() -> Case:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(128, 5)).eval()
    return open_test_case(net, batches_from(torch.randn(112, 3, 8, 8, generator=torch.Generator().manual_seed(1)), 16))


@pytest.fixture(autouse=True)
def all_samples_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures of the last layer, which has five values, need 128 samples, and there are 112."""
    monkeypatch.setattr("qdiag.simulate.layerwise.samples.LEAST_VALUES", 5 * 128)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of every batch that is run."""
    found: list[int] = []
    own = LaneRunner.run_batch

    def counted(self: LaneRunner, batch: Batch) -> tuple[object, ...]:
        found.append(batch.sample_count)
        return own(self, batch)

    monkeypatch.setattr(LaneRunner, "run_batch", counted)
    return found


def scored(session: Session, case: Case, *, keeps: bool = False) -> tuple[Scored, Effort]:
    (one,), effort = session.score([case], "quantized network", keeps=keeps)
    return one, effort


def check_same(one: Scored, other: Scored) -> None:
    assert one.score == other.score
    for place in one.noise:
        np.testing.assert_array_equal(one.noise[place], other.noise[place])


def test_after_the_paired_pass_the_quantized_network_is_not_run_again(case: Case, runs: list[int]) -> None:
    session = Session()
    session.measure(case, "facts")
    runs.clear()
    found, effort = scored(session, case)
    assert runs == [2], "two samples alone, for their operations to be counted"
    apart, effort_apart = scored(Session(), replace(case))
    check_same(found, apart)
    assert effort == effort_apart and effort.computed_count > 0


def test_no_sample_runs_twice_where_more_are_added(case: Case, runs: list[int]) -> None:
    session = Session()
    session.measure(case, "facts")
    other = replace(case, plan=replace(case.plan))
    runs.clear()
    few, _ = scored(session, on_some(other, 32), keeps=True)
    assert few.score.task.sample_count == 32 and runs == [16, 16]
    found, effort = scored(session, other, keeps=True)
    assert runs == [16] * 7
    again, effort_again = scored(session, replace(other))
    check_same(again, found)
    assert runs == [16] * 7 + [2] and effort_again == effort, "two samples alone, as nothing is left to be run"
    apart, effort_apart = scored(Session(), replace(case))
    check_same(found, apart)
    assert effort == effort_apart


class InThreads(Processes):
    """A process that is a thread: what it tells the others lies where they find it."""

    told: ClassVar[list[Any]] = [None, None]
    barrier: ClassVar[threading.Barrier] = threading.Barrier(2, timeout=60.0)

    def _exchanged(self, own: Any) -> Any:
        self.told[self.rank] = own
        self.barrier.wait()
        found = list(self.told)
        self.barrier.wait()
        self._check(found)
        return found


def several(session: Session, case: Case) -> tuple[Any, ...]:
    """A measurement, scores on some samples and on all of them, and what is known of each afterwards."""
    other = replace(case, plan=replace(case.plan))
    session.measure(case, "facts")
    few, half = on_some(other, 32), on_some(other, 64)
    found = [scored(session, one, keeps=True) for one in (few, half, other)]
    again = scored(session, replace(other))
    is_asked = [session.asked.has_all(one.plan, one.measured) for one in (case, few, half, other)]
    return found, again, is_asked, session.asked.has_room(session.processes)


def test_processes_that_divide_the_batches_run_none_twice_either(case: Case, runs: list[int]) -> None:
    """Each holds what it ran: the same scores, the same counts, and as many batches run as by one process."""
    expected, count = several(Session(), case), runs.count(16)
    runs.clear()
    with ThreadPoolExecutor(2) as pool:
        sessions = [Session(passes=PassKeeper(processes=InThreads(rank, 2))) for rank in (0, 1)]
        found = list(pool.map(several, sessions, [case, case]))
    assert runs.count(16) == count == 14 and set(runs) == {2, 16}
    for one in found:
        assert one[2:] == expected[2:] == ([True] * 4, True)
        for (score, effort), (other, other_effort) in zip([*one[0], one[1]], [*expected[0], expected[1]], strict=True):
            assert effort == other_effort
            for place in other.noise:
                np.testing.assert_array_equal(score.noise[place], other.noise[place])


def test_figures_from_a_cache_decide_as_if_they_were_measured(case: Case, runs: list[int], tmp_path: Path) -> None:
    """What runs on which samples depends on what was asked for, which is the same when a stopped run goes on."""
    first, resumed = (Session(passes=PassKeeper(FolderCache(tmp_path))) for _ in range(2))
    expected = several(first, case)
    runs.clear()
    found = several(resumed, case)
    assert not runs and found[2:] == expected[2:]
    assert [effort for _, effort in found[0]] == [effort for _, effort in expected[0]]
    untouched = replace(case, plan=replace(case.plan))
    assert not resumed.asked.has_all(untouched.plan, untouched.measured)


def test_outputs_beyond_the_limit_leave_no_room_until_their_plan_is_gone(case: Case) -> None:
    asked = ScoredBatches(most_bytes=112 * 5 * 4)
    assert asked.has_room()
    (score, _), plan = scored(Session(), case), replace(case.plan)
    asked.add(plan, some_of(case.measured, 80), score.score.outputs[:0])
    assert asked.has_room(), "without outputs nothing is held"
    asked.add(plan, case.measured, score.score.outputs)
    asked.add(plan, case.measured, score.score.outputs)
    assert asked.has_all(plan, case.measured) and asked.has_room(), "two of seven batches were noted anew"
    other = replace(case.plan)
    asked.add(other, case.measured, score.score.outputs)
    assert not asked.has_room()
    del other
    assert asked.has_room()


def test_what_calibration_gave_is_the_reference_where_the_same_samples_are_measured(
    case: Case, runs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The float network runs on each sample once to calibrate, and once more where its layers are compared."""
    monkeypatch.setattr("qdiag.simulate.layerwise.samples.LEAST_VALUES", 160)
    lanes: list[int] = []
    own = LaneRunner.run_batch

    def counted(self: LaneRunner, batch: Batch) -> tuple[object, ...]:
        lanes.append(len(self._lanes))
        return own(self, batch)

    monkeypatch.setattr(LaneRunner, "run_batch", counted)
    found = {}
    for is_same in (True, False):
        measured = case.measured if is_same else replace(case.measured)
        datasets = Datasets(case.calibration, measured, "")
        session = Session()
        again = session.open_case(case.program, case.network, case.scheme, datasets, case.tasks)
        lanes.clear()
        found[is_same] = session.measure(again, "errors")
        assert found[is_same].layer_sample_count == 32
        assert lanes == [3] * 2 + [1 if is_same else 2] * 5
    assert found[True] == found[False]
