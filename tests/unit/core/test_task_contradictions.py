"""Figures that no run can have measured are told from those that one can."""

import math
from dataclasses import replace

import numpy as np
import pytest

from qdiag.core.contradictions import contradictions
from qdiag.core.measures.outcomes import SampleOutcomes, pack_bits, pack_numbers, unpack_numbers
from qdiag.core.measures.task import Criterion, Figure, Interval, PairedCounts, TaskResult
from qdiag.simulate.task.means import mean_figure
from qdiag.simulate.task.shares import share_figure
from tests.figures import AGREEMENT, classified, metric, top

RIGHT = [True] * 70 + [False] * 30
QUANTIZED = [True] * 60 + [False] * 10 + [True] * 4 + [False] * 26
SAME = [True] * 60 + [False] * 14 + [True] * 26


def table(values: list[bool]) -> np.ndarray:
    return np.array(values, float).reshape(-1, 1)


def shares() -> TaskResult:
    accuracy = share_figure(Criterion("top-1"), reference=table(RIGHT), simulated=table(QUANTIZED))
    same = share_figure(AGREEMENT, reference=table([True] * 100), simulated=table(SAME))
    return TaskResult(100, (accuracy, same))


def numbers(values: list[float] | None = None) -> Figure:
    simulated = np.array(values if values is not None else [0.1 * i for i in range(20)])
    tables = [np.stack([column, np.ones(len(column))], 1) for column in (simulated + 0.5, simulated)]
    return mean_figure(Criterion("MAE", "m", "m", False), reference=tables[0], simulated=tables[1])


def found(value: TaskResult | Figure) -> list[str]:
    return [what for _, what in contradictions(value)]


def with_first(task: TaskResult, **parts: object) -> TaskResult:
    first, *rest = task.figures
    return replace(task, figures=(replace(first, **parts), *rest))  # type: ignore[arg-type]


def with_second(task: TaskResult, **parts: object) -> TaskResult:
    first, second = task.figures
    return replace(task, figures=(first, replace(second, **parts)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "value",
    [
        shares(),
        classified(500, 61, PairedCounts(38, 344, 7, 111), PairedCounts(110, 363, 13, 14)),
        TaskResult(0),
        classified(0, 0),
        TaskResult(20, (numbers(),)),
        TaskResult(20, (numbers([math.nan] * 20),)),
        TaskResult(3, (numbers([1e300, 0.0, math.inf]),)),
        TaskResult(1, (numbers([0.3]),)),
        TaskResult(500, (metric("f1", 0.9, 0.3, Interval(0.5, 0.7)),)),
        TaskResult(500, (metric("edit distance", 3.0, math.inf, higher_is_better=False),)),
    ],
)
def test_what_a_run_measures_does_not_contradict_itself(value: TaskResult) -> None:
    assert found(value) == []


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (replace(shares(), sample_count=-1), "sample_count is negative"),
        (replace(shares(), sample_count=99), "top-1 counts 100 samples, and sample_count is 99"),
        (with_first(shares(), sample_count=99), "counts of 100 samples, and sample_count is 99"),
        (with_first(shares(), counts=PairedCounts(61, 10, 4, 26)), "counts of 101 samples"),
        (with_first(shares(), counts=PairedCounts(-60, 130, 4, 26)), "both is negative"),
        (with_first(shares(), reference=70.5), "reference is 70.5"),
        (with_first(shares(), simulated=70.0), "simulated is 70.0"),
        (with_first(shares(), simulated=math.nan), "simulated is nan"),
        (with_first(shares(), loss_interval=Interval(-0.1, 0.1)), "loss_interval and counts"),
        (with_first(shares(), simulated_interval=Interval(60.0, 61.0)), "simulated_interval and counts"),
        (with_first(shares(), outcomes=SampleOutcomes(3, "Bw==", "Bw==")), "outcomes of 3 samples"),
        (
            with_first(shares(), outcomes=SampleOutcomes(100, pack_bits(RIGHT), pack_bits(RIGHT))),
            "outcomes and counts exclude each other",
        ),
        (with_first(shares(), outcomes=SampleOutcomes(100, "!!", "!!")), "outcomes and counts exclude each other"),
        (with_first(shares(), outcomes=SampleOutcomes(100, "", pack_bits(QUANTIZED))), "outcomes of one network"),
        (
            with_first(
                shares(), outcomes=SampleOutcomes(100, pack_numbers([0.0] * 100), pack_numbers([0.0] * 100), False)
            ),
            "outcomes are numbers, and counts are of successes",
        ),
        (with_first(shares(), criterion=Criterion("agreement", is_against_float=True)), "two figures have one name"),
        (with_first(shares(), criterion=Criterion("top-1", limit=-1.0)), "limit is -1"),
        (with_first(shares(), criterion=Criterion("top-1", small=math.nan)), "small is nan"),
        (with_second(shares(), reference=99.0), "agreement of the float network with itself is 99.0 %"),
        (with_second(shares(), counts=PairedCounts(86, 13, 0, 1)), "the float network does not agree with itself"),
        (
            with_second(shares(), outcomes=SampleOutcomes(100, pack_bits([True] * 100), pack_bits(SAME))),
            "a float network that is held against itself",
        ),
        (
            with_second(shares(), outcomes=SampleOutcomes(100, "", pack_bits(SAME[::-1]))),
            "outcomes of top-1 and agreement exclude each other",
        ),
        (classified(100, 59, PairedCounts(60, 10, 4, 26)), "top-1 and agreement exclude each other"),
        (classified(100, 87, PairedCounts(60, 10, 4, 26)), "87 of 100 agree, 14 cannot"),
        (
            TaskResult(100, (top(1, PairedCounts(60, 10, 4, 26)), top(5, PairedCounts(50, 10, 4, 36)))),
            "top-1 is right more often than top-5",
        ),
        (
            TaskResult(100, (top(5, PairedCounts(60, 10, 4, 26)), top(10, PairedCounts(50, 30, 4, 16)))),
            "top-5 is right more often than top-10",
        ),
        (TaskResult(20, (replace(numbers(), simulated=0.96),)), "outcomes and their mean exclude each other"),
        (TaskResult(20, (replace(numbers(), reference=math.nan),)), "outcomes and their mean exclude each other"),
        (
            TaskResult(20, (replace(numbers(), outcomes=SampleOutcomes(20, "AAAA", "AAAA", are_bits=False)),)),
            "do not hold one number for each sample",
        ),
        (
            TaskResult(100, (metric("f1", 0.9, 0.3, samples=100), replace(top(1, PairedCounts(100)), counts=None,
             outcomes=SampleOutcomes(100, pack_bits(RIGHT), pack_bits(RIGHT))))),
            "outcomes are successes, and nothing counts them",
        ),
        (TaskResult(500, (metric("f1", 0.9, 0.3, Interval(0.7, 0.5)),)), "loss_interval ends before it begins"),
        (TaskResult(500, (metric("mIoU", 60.5, 50.9, Interval(-1.0, 0.5), unit="%"),)), "loss lies outside its"),
        (TaskResult(500, (metric("mIoU", 60.5, 50.9, Interval(-300.0, 300.0), unit="%"),)), "what a share can be"),
        (TaskResult(500, (replace(metric("mIoU", 60.5, 50.9, unit="%"), simulated_interval=Interval(58.0, 60.0)),)),
         "simulated lies outside its"),
        (TaskResult(20, (replace(numbers(), loss_interval=Interval(0.4999, 0.5001)),)),
         "loss_interval and outcomes exclude each other"),
        (TaskResult(20, (replace(numbers(), loss_interval=Interval(math.nan, math.nan)),)),
         "loss_interval and outcomes exclude each other"),
        (TaskResult(20, (replace(numbers(), simulated_interval=Interval(0.94, 0.96)),)),
         "simulated_interval and outcomes exclude each other"),
    ],
)  # fmt: skip
def test_what_no_run_can_have_measured(value: TaskResult, word: str) -> None:
    assert any(word in what for what in found(value)), found(value)


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("top", [1.0, 100.0])
def test_scores_that_are_successes_have_intervals_of_counts(top: float, higher: bool) -> None:
    columns = [np.array([top * value for value in values]) for values in (RIGHT, QUANTIZED)]
    tables = [np.stack([column, np.ones(len(column))], 1) for column in columns]
    criterion = Criterion("mine", "", "", higher)
    one = mean_figure(criterion, reference=tables[0], simulated=tables[1], may_be_successes=True)
    assert found(one) == []
    narrow = replace(one, loss_interval=Interval(one.loss - 1e-3 * top, one.loss + 1e-3 * top))
    assert found(narrow) == ["loss_interval and outcomes exclude each other"]


def test_numbers_without_spread_may_have_wider_intervals() -> None:
    tables = [np.stack([np.full(20, value), np.ones(20)], 1) for value in (80.0, 79.0)]
    same = mean_figure(Criterion("mine"), reference=tables[0], simulated=tables[1])
    assert same.loss_interval.high > same.loss and found(same) == []


def test_numbers_beyond_float32_are_stored_as_infinite() -> None:
    stored = unpack_numbers(pack_numbers([1e300, -1e39, 3.4e38, math.nan, 0.5]), 5)
    assert stored is not None
    assert stored[:2] == (math.inf, -math.inf)
    assert stored[2] == pytest.approx(3.4e38)
    assert math.isnan(stored[3])
    assert stored[4] == 0.5
