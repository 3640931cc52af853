"""Outputs that are held stand for a run of the network: the same scores, and the same counts of what was done."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from qdiag.batches import Batch
from qdiag.loaders.data.sources import batches_from
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.simulate.task.score_cases import Effort
from qdiag.simulate.task.scoring import Scored
from tests.cases import open_test_case


@pytest.fixture(scope="module")
def case() -> Case:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(128, 5)).eval()
    return open_test_case(net, batches_from(torch.randn(112, 3, 8, 8, generator=torch.Generator().manual_seed(1)), 16))


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
    assert runs == [16], "the first batch alone, for its operations to be counted"
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
    assert runs == [16] * 7 and effort_again == effort, "nothing is left to be run"
    apart, effort_apart = scored(Session(), replace(case))
    check_same(found, apart)
    assert effort == effort_apart
