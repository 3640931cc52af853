"""Samples without any spread are no certainty: the interval is that of a share of which none was seen."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor

from qdiag.core.measures.counts import unspread_interval
from qdiag.core.measures.task import Criterion, Figure, Interval, PairedCounts
from qdiag.core.task_contradictions import of_figure
from qdiag.simulate.task.masks import MeanIoU, Positions, PositionShare
from qdiag.simulate.task.means import mean_figure, mean_gain
from qdiag.simulate.task.sums import sums_figure, sums_gain
from qdiag.simulate.task.user import MetricRequest, user_task
from tests.judged import gained, judged

PERCENT = Criterion("score")
PLAIN = Criterion("error", "", "", higher_is_better=False)


def none_of(n: int) -> float:
    """The largest share that is believable where none of n was seen."""
    return float(binomtest(0, n).proportion_ci(method="wilson").high)


def bounds(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def constant(value: float, n: int) -> Any:
    return np.stack([np.full(n, value), np.ones(n)], 1)


@pytest.mark.parametrize("n", [1, 2, 7, 40, 10_000])
def test_the_interval_is_that_of_wilson_at_its_ends(n: int) -> None:
    for value in (0.0, 100.0):
        found = binomtest(n if value else 0, n).proportion_ci(method="wilson")
        expected = (100.0 * found.low, 100.0 * found.high)
        assert bounds(unspread_interval(value, low=0.0, high=100.0, count=n)) == pytest.approx(expected)
    middle = unspread_interval(60.0, low=0.0, high=100.0, count=n)
    assert bounds(middle) == pytest.approx((60.0 * (1.0 - none_of(n)), 60.0 + 40.0 * none_of(n)))
    assert math.isnan(unspread_interval(0.0, low=0.0, high=1.0, count=0).low)


def test_it_holds_what_so_many_samples_miss_19_times_in_20() -> None:
    """Of worlds where a share of samples differs, those outside the interval show none in less than one of 20."""
    for n in (10, 30, 200):
        assert (1.0 - none_of(n)) ** n < 0.05


@pytest.mark.parametrize(("reference", "simulated"), [(100.0, 100.0), (0.0, 0.0), (100.0, 0.0), (70.0, 70.0)])
def test_percentages_that_are_the_same_for_each_sample(reference: float, simulated: float) -> None:
    n = 24
    figure = mean_figure(PERCENT, reference=constant(reference, n), simulated=constant(simulated, n))
    assert list(of_figure(figure)) == []
    loss, others = reference - simulated, none_of(n)
    assert figure.loss == loss
    assert bounds(figure.loss_interval) == pytest.approx((loss - others * (loss + 100), loss + others * (100 - loss)))
    own = (simulated * (1.0 - others), simulated + others * (100.0 - simulated))
    assert bounds(figure.simulated_interval) == pytest.approx(own)
    gain = mean_gain(PERCENT, before=constant(simulated, n), after=constant(reference, n))
    assert bounds(gain.interval) == pytest.approx(bounds(figure.loss_interval))


def test_values_without_ends_stay_as_they_are() -> None:
    figure = mean_figure(PLAIN, reference=constant(3.0, 9), simulated=constant(3.0, 9))
    assert bounds(figure.loss_interval) == (0.0, 0.0) and bounds(figure.simulated_interval) == (3.0, 3.0)


def figure_of(scores: Tensor, other: Tensor, **words: Any) -> Figure:
    def metric(outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs[:, 0]

    metric.unit = words.get("unit", "")  # type: ignore[attr-defined]
    task = user_task(MetricRequest(metric, words.get("higher")))
    figure = judged(task, scores[:, None], other[:, None])
    gain = gained(task, scores[:, None], other[:, None], scores[:, None])
    assert list(of_figure(figure)) == []
    assert bounds(gain.interval) == pytest.approx(bounds(figure.loss_interval)) and gain.value == figure.loss
    return figure


@pytest.mark.parametrize("top", [1.0, 100.0])
@pytest.mark.parametrize("higher", [True, False])
def test_scores_of_0_and_1_are_successes(top: float, higher: bool) -> None:
    """Bonett & Price's interval of paired shares, written out, and Wilson's."""
    reference = torch.tensor([1.0] * 20 + [0.0] * 4) * top
    simulated = torch.tensor([1.0] * 17 + [0.0] * 6 + [1.0]) * top
    figure = figure_of(reference, simulated, higher=higher)
    n, lost, won = 24, 3, 1
    p, q = (lost + 1) / (n + 2), (won + 1) / (n + 2)
    margin = 1.959964 * math.sqrt((p + q - (p - q) ** 2) / (n + 2))
    expected = sorted((1.0 if higher else -1.0) * top * x for x in (p - q - margin, p - q + margin))
    assert bounds(figure.loss_interval) == pytest.approx(expected, abs=1e-5)
    own = binomtest(18, n).proportion_ci(method="wilson")
    assert bounds(figure.simulated_interval) == pytest.approx((top * own.low, top * own.high))


def test_an_interval_holds_its_own_value() -> None:
    for one, other in ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.0, 0.0)):
        figure = figure_of(torch.full((8,), one), torch.full((8,), other))
        assert figure.loss_interval.low <= figure.loss <= figure.loss_interval.high


def test_scores_that_are_always_right_are_no_certainty() -> None:
    for unit, top in (("%", 100.0), ("", 1.0)):
        figure = figure_of(torch.full((16,), top), torch.full((16,), top), unit=unit)
        counts = PairedCounts(both=16).drop_interval_pp
        assert bounds(figure.loss_interval) == pytest.approx((counts.low * top / 100, counts.high * top / 100))
        assert figure.simulated_interval.low == pytest.approx(top * (1.0 - none_of(16)))


def test_one_other_score_is_no_success() -> None:
    scores = torch.tensor([1.0] * 15 + [0.5])
    figure = figure_of(scores, scores)
    assert bounds(figure.loss_interval) == (0.0, 0.0)
    assert figure.simulated_interval.high == pytest.approx(
        float(scores.mean()) + 1.959964 * float(scores.std()) / 4.0, abs=1e-6
    )


def test_masks_that_are_all_alike_count_their_images() -> None:
    answers = torch.randint(0, 3, (6, 5, 4), generator=torch.Generator().manual_seed(0))
    logits = torch.nn.functional.one_hot(answers, 3).movedim(-1, 1).float()
    positions = Positions(0, 1, 3)
    for task in (MeanIoU(positions), PositionShare(positions, is_against_float=False)):
        figure = judged(task, logits, logits, answers)
        assert figure.simulated == 100.0
        assert figure.loss_interval.high == pytest.approx(100.0 * none_of(6))
        assert bounds(figure.simulated_interval) == pytest.approx((100.0 * (1.0 - none_of(6)), 100.0))
    agreement = judged(PositionShare(positions, is_against_float=True), logits, logits, answers)
    assert bounds(agreement.loss_interval) == pytest.approx((0.0, 100.0 * none_of(6)))


def test_sums_without_a_count_count_samples() -> None:
    table = np.tile([[3.0, 4.0]], (12, 1))

    def share(sums: Any) -> Any:
        return 100.0 * sums[:, 0] / sums[:, 1]

    figure = sums_figure(PERCENT, share, reference=table, simulated=table)
    gain = sums_gain(PERCENT, share, before=table, after=table)
    assert bounds(figure.loss_interval) == pytest.approx((-100.0 * none_of(12), 100.0 * none_of(12)))
    assert bounds(gain.interval) == pytest.approx(bounds(figure.loss_interval))


class Right:
    """Per cent of samples above zero."""

    unit = "%"

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.right = self.count = 0

    def update(self, outputs: Tensor, targets: Any) -> None:
        self.right += int((outputs > 0).sum())
        self.count += len(outputs)

    def compute(self) -> float:
        return 100.0 * self.right / self.count


def test_an_object_that_is_the_same_without_each_group() -> None:
    x = torch.ones(30, 1)
    figure = judged(user_task(MetricRequest(Right)), x, x)
    assert bounds(figure.loss_interval) == pytest.approx((-100.0 * none_of(30), 100.0 * none_of(30)))
    assert figure.simulated_interval.low == pytest.approx(100.0 * (1.0 - none_of(30)))
