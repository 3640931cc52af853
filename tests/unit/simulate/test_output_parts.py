"""The parts of an output against sums written in numpy, and what judges by them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from qdiag.batches import Batch
from qdiag.capture.outputs.layout import OutputLayout, Part
from qdiag.core.contradictions import contradictions
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.measurement import OutputPart, OutputRecord, weakest_output
from qdiag.core.measures.task import TaskChoice
from qdiag.core.progress import NoProgress
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import SIMULATED
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.simulate.task.classes import Agreement, Logits
from qdiag.simulate.task.output_errors import OutputErrors
from qdiag.simulate.task.scoring import Scoreboard, recovery
from qdiag.simulate.task.tasks import ReferenceTallies, Tasks
from tests.cases import SESSION, open_test_case


class Cells(nn.Module):
    """A place in pixels and a score for each cell, in one output."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.place, self.score = nn.Conv1d(4, 16, 1), nn.Conv1d(16, 1, 1), nn.Conv1d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x).relu()
        return torch.cat((640.0 * self.place(y).sigmoid(), self.score(y).sigmoid()), 1)


INPUTS = torch.randn(40, 4, 12, generator=torch.Generator().manual_seed(5))
CHANNELS = OutputLayout(tuple(Part(f"channel {c}", axis=1, channel=c) for c in range(3)))


class _Keep:
    """Both outputs of every batch."""

    def __init__(self) -> None:
        self.reference: list[Tensor] = []
        self.simulated: list[Tensor] = []

    def add(self, batch: Batch, *, reference: tuple[Tensor, ...], simulated: tuple[Tensor, ...]) -> None:
        del batch
        self.reference.append(reference[0].clone())
        self.simulated.append(simulated[0].clone())


def test_parts_are_what_numpy_sums_up() -> None:
    case = open_test_case(Cells().eval(), INPUTS)
    keep = _Keep()
    with engine_arithmetic():
        runner = LaneRunner(paired_lanes(case.network, case.plan))
        run_batches(runner, case.measured, NoProgress(), stage="simulate", sinks={SIMULATED: [keep]})
    r, s = (torch.cat(kept).double().numpy() for kept in (keep.reference, keep.simulated))
    (record,) = SESSION.measure(case).outputs
    assert [part.name for part in record.parts] == ["branch mul", "branch sigmoid#2"]
    for channel, part in enumerate(record.parts):
        assert part.error.count == r[:, channel].size
        assert part.error.reference_sq_sum == pytest.approx((r[:, channel] ** 2).sum(), rel=1e-5)
        assert part.error.error_sq_sum == pytest.approx(((r - s)[:, channel] ** 2).sum(), rel=1e-4)
    by_hand = 10.0 * np.log10((r[:, 1] ** 2).sum() / ((r - s)[:, 1] ** 2).sum())
    assert record.weakest == record.parts[1]
    assert record.weakest_sqnr_db == pytest.approx(by_hand, abs=1e-3)
    assert record.error.sqnr_db > 40.0 > 1.0 > by_hand, "the whole says nothing of the scores"
    (scored,), _ = SESSION.score([case], "test")
    assert scored.score.output_sqnr_db == pytest.approx(by_hand, abs=1e-3)
    assert scored.noise[0, 2] == pytest.approx(((r - s)[:, 1] ** 2).sum(1), rel=1e-4)
    assert scored.signal[0, 2] == pytest.approx((r[:, 1] ** 2).sum(1), rel=1e-5)


@given(
    seed=st.integers(0, 2**31 - 1),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    has_nan=st.booleans(),
)
def test_parts_add_up_to_the_whole(seed: int, sizes: list[int], scale: float, has_nan: bool) -> None:
    drawn = torch.Generator().manual_seed(seed)
    errors = OutputErrors(("output",), (CHANNELS,))
    for size in sizes:
        r = torch.randn(size, 3, 7, generator=drawn) * torch.tensor([1.0, scale, 0.0]).reshape(3, 1)
        s = r + 0.1 * torch.randn(size, 3, 7, generator=drawn)
        if has_nan:
            s[0, 1, 2] = math.nan
        errors.add(Batch((r,)), reference=(r,), simulated=(s,))
    (record,) = errors.records()
    total = sum((part.error for part in record.parts), ErrorSums())
    assert total.max_abs_error == pytest.approx(record.error.max_abs_error, rel=1e-6), "float32, or float64 beside NaN"
    for name in ("count", "reference_nonfinite_count", "simulated_nonfinite_count"):
        assert getattr(total, name) == getattr(record.error, name)
    for name in ("reference_sq_sum", "error_sq_sum", "cross_sum"):
        assert getattr(total, name) == pytest.approx(getattr(record.error, name), rel=1e-4)


def batch_of(x: Tensor) -> Batch:
    return Batch((x,))


def test_one_batch_that_cannot_be_divided_leaves_the_whole_alone() -> None:
    errors = OutputErrors(
        ("output",), (OutputLayout((Part("a", torch.tensor([0])), Part("b", torch.tensor([1]))), (2, 1)),)
    )
    for shape in ((4, 2, 1), (4, 3, 1), (4, 2, 1)):
        x = torch.ones(shape)
        errors.add(batch_of(x), reference=(x,), simulated=(x + 1.0,))
    (record,) = errors.records()
    assert record.parts == ()
    assert record.error.count == 28


def test_logits_are_one_thing_and_another_output_beside_them_is_not() -> None:
    logits, boxes = torch.randn(5, 3), torch.randn(5, 3, 4)
    tasks = Tasks((Agreement(Logits(0, 3)),), TaskChoice("classify", "logits"), Logits(0, 3), 0)
    errors = OutputErrors(("logits", "boxes"), (CHANNELS, CHANNELS), tasks.whole)
    board = Scoreboard(("logits", "boxes"), (CHANNELS, CHANNELS), tasks, ReferenceTallies(tasks))
    for sink in (errors, board):
        sink.add(batch_of(logits), reference=(logits, boxes), simulated=(logits, boxes + torch.arange(3.0)[:, None]))
    first, second = errors.records()
    assert first.parts == () and len(second.parts) == 3
    scored = board.scored()
    assert list(scored.noise) == [(0, 0), (1, 0)], "answers are counted, so outputs count as a whole"
    assert scored.score.output_sqnr_db == second.error.sqnr_db > second.weakest_sqnr_db


def scored_of(noise: tuple[float, float, float], gains: tuple[float, float, float] = (100.0, 1.0, 0.0)) -> Scoreboard:
    drawn = torch.Generator().manual_seed(1)
    r = torch.randn(50, 3, 6, generator=drawn) * torch.tensor(gains)[:, None]
    s = r + torch.randn(50, 3, 6, generator=drawn) * torch.tensor(noise)[:, None]
    board = Scoreboard(("output",), (CHANNELS,), Tasks(), ReferenceTallies(Tasks()))
    board.add(batch_of(r), reference=(r,), simulated=(s,))
    return board


def test_recovery_is_that_of_the_part_that_had_lost_most() -> None:
    before, after = scored_of((1.0, 1.0, 0.0)).scored(), scored_of((1.0, 0.1, 0.0)).scored()
    found = recovery(before=before, after=after)
    assert found.recovered_db == pytest.approx(20.0, abs=0.1)
    whole = before.score.outputs[0].error.sqnr_db, after.score.outputs[0].error.sqnr_db
    assert abs(whole[1] - whole[0]) < 3.1, "which the whole output hardly shows"


def test_what_ruins_the_small_part_of_the_float_output_is_a_large_change() -> None:
    assert scored_of((0.0, 1.0, 0.0)).scored().relative_delta > 0.5
    whole = Scoreboard(("output",), (), Tasks(), ReferenceTallies(Tasks()))
    r = torch.randn(50, 3, 6) * torch.tensor([100.0, 1.0, 0.0])[:, None]
    whole.add(batch_of(r), reference=(r,), simulated=(r + torch.tensor([0.0, 1.0, 0.0])[:, None],))
    assert whole.scored().relative_delta < 0.05


def test_a_part_without_signal_proves_nothing() -> None:
    scored = scored_of((1.0, 0.01, 5.0)).scored()
    assert list(scored.noise) == [(0, 1), (0, 2)]
    assert scored.score.output_sqnr_db == pytest.approx(40.0, abs=1.0)


def sums(db: float, power: float = 1.0) -> ErrorSums:
    noise = power * 10.0 ** (-db / 10.0)
    return ErrorSums(
        count=10, reference_sq_sum=power, error_sq_sum=noise, cross_sum=power, max_abs_error=math.sqrt(noise)
    )


def test_parts_that_do_not_add_up_contradict_the_whole() -> None:
    parts = OutputPart("channel 0", sums(30.0, 4.0)), OutputPart("channel 1", sums(3.0, 2.0))
    total = parts[0].error + parts[1].error
    good = OutputRecord("output", (2,), total, parts)
    assert list(contradictions(good)) == []
    for field in ("count", "reference_sq_sum", "error_sq_sum"):
        wrong = replace(parts[1].error, **{field: getattr(parts[1].error, field) * 2})
        found = [what for _, what in contradictions(replace(good, parts=(parts[0], OutputPart("channel 1", wrong))))]
        assert any("its parts" in what for what in found), field


def test_the_weakest_is_found_over_outputs_and_parts() -> None:
    strong = OutputRecord(
        "a", (2,), sums(40.0), (OutputPart("channel 0", sums(50.0)), OutputPart("channel 1", sums(3.0)))
    )
    plain = OutputRecord("b", (2,), sums(12.0))
    assert weakest_output((plain, strong)) is strong
    assert strong.weakest is strong.parts[1]
    assert plain.weakest is None
    gone = replace(strong, parts=(*strong.parts, OutputPart("channel 2", ErrorSums(simulated_nonfinite_count=9))))
    assert gone.weakest is gone.parts[2] and math.isnan(gone.weakest_sqnr_db)
    silent = OutputRecord("c", (1,), ErrorSums(count=3), (OutputPart("channel 0", ErrorSums(count=3)),))
    assert silent.weakest is None and silent.is_silent and math.isnan(silent.weakest_sqnr_db)
    assert weakest_output((silent, plain)) is plain and weakest_output((silent,)) is None
    assert weakest_output(()) is None
