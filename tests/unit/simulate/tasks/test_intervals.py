"""Intervals of means, shares, sums and groups: they cover the truth about as often as they say."""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest

from qdiag.core.measures.task import Criterion, Figure
from qdiag.simulate.task.base import difference
from qdiag.simulate.task.masks import MeanIoU, Positions
from qdiag.simulate.task.means import mean_figure, mean_gain
from qdiag.simulate.task.meters.groups import GROUPS, group_figure, group_gain
from qdiag.simulate.task.shares import share_figure, share_gain
from qdiag.simulate.task.sums import BLOCKS, draws, expanded_levels, percentiles, sums_figure, sums_gain
from tests.judged import is_undefined

Table = npt.NDArray[np.float64]
ERROR = Criterion("error", "", "", higher_is_better=False)
SCORE = Criterion("score", "", "")
TRIALS = 300


def covered(figure_of: Callable[[np.random.Generator], Figure], truth: float) -> float:
    """How often the interval of the loss holds the true loss."""
    rng = np.random.default_rng(0)
    figures = [figure_of(rng) for _ in range(TRIALS)]
    return sum(f.loss_interval.low <= truth <= f.loss_interval.high for f in figures) / TRIALS


def pairs(rng: np.random.Generator, n: int) -> tuple[Table, Table]:
    """Skewed squared errors of two networks on the same samples, of mean 1 and 1.5, with weights of 1."""
    own = rng.chisquare(3, n) / 3
    other = own + 0.5 * rng.chisquare(2, n) / 2
    return np.stack([own, np.ones(n)], 1), np.stack([other, np.ones(n)], 1)


def root(sums: Table) -> Table:
    found: Table = np.sqrt(sums[:, 0] / sums[:, 1])
    return found


def test_means() -> None:
    def figure(rng: np.random.Generator) -> Figure:
        reference, simulated = pairs(rng, 80)
        return mean_figure(ERROR, reference=reference, simulated=simulated)

    assert 0.90 <= covered(figure, 0.5) <= 0.985


def test_sums() -> None:
    def figure(rng: np.random.Generator) -> Figure:
        reference, simulated = pairs(rng, 80)
        return sums_figure(ERROR, root, reference=reference, simulated=simulated)

    assert 0.90 <= covered(figure, math.sqrt(1.5) - 1.0) <= 0.985


def test_groups() -> None:
    def over(table: Table) -> Table:
        kept = [table, *(table[np.arange(len(table)) % GROUPS != group] for group in range(GROUPS))]
        return np.array([*(math.sqrt(rows[:, 0].mean()) for rows in kept), len(table)]).reshape(-1, 1)

    def figure(rng: np.random.Generator) -> Figure:
        reference, simulated = pairs(rng, 80)
        return group_figure(ERROR, reference=over(reference), simulated=over(simulated))

    assert 0.90 <= covered(figure, math.sqrt(1.5) - 1.0) <= 0.985


def test_shares() -> None:
    def figure(rng: np.random.Generator) -> Figure:
        kind = rng.choice(4, 120, p=(0.7, 0.12, 0.03, 0.15))
        reference, simulated = (np.isin(kind, right).astype(float)[:, None] for right in ((0, 1), (0, 2)))
        return share_figure(Criterion("top-1"), reference=reference, simulated=simulated)

    assert 0.92 <= covered(figure, 9.0) <= 0.99


def test_the_bootstrap_draws_the_same_samples_of_both() -> None:
    """Two networks that differ by a constant on every sample: the difference is known exactly."""
    reference, _ = pairs(np.random.default_rng(1), 50)
    simulated = reference + np.array([0.25, 0.0])

    def mean(sums: Table) -> Table:
        found: Table = sums[:, 0] / sums[:, 1]
        return found

    figure = sums_figure(ERROR, mean, reference=reference, simulated=simulated)
    assert figure.loss == pytest.approx(0.25)
    assert (figure.loss_interval.low, figure.loss_interval.high) == (pytest.approx(0.25), pytest.approx(0.25))
    assert figure.simulated_interval.high - figure.simulated_interval.low > 0.1


def test_draws_are_samples_with_replacement() -> None:
    for n in (2, 37):
        weights = draws(n)
        assert (weights.sum(1) == n).all() and (weights >= 0).all() and (weights == np.floor(weights)).all()
        assert weights.mean(0) == pytest.approx(1.0, abs=0.15)
        assert weights.var() == pytest.approx(1 - 1 / n, rel=0.1)
    assert draws(37) is draws(37)


def test_many_samples_are_drawn_in_blocks() -> None:
    """The interval of a mean is that of its spread, and both networks are divided alike."""
    reference, simulated = pairs(np.random.default_rng(6), 4 * BLOCKS + 7)

    def mean(sums: Table) -> Table:
        found: Table = sums[:, 0] / sums[:, 1]
        return found

    figure = sums_figure(ERROR, mean, reference=reference, simulated=simulated)
    difference = simulated[:, 0] - reference[:, 0]
    assert figure.loss == pytest.approx(difference.mean())
    width = 2 * 1.96 * difference.std() / math.sqrt(len(difference))
    assert figure.loss_interval.high - figure.loss_interval.low == pytest.approx(width, rel=0.1)
    assert figure.loss_interval.low < figure.loss < figure.loss_interval.high


def test_few_samples_take_wider_percentiles() -> None:
    """Against quantiles of Student's t from a table."""
    for n, quantile in ((5, 2.7764), (11, 2.2281), (31, 2.0423), (121, 1.9799), (10**9, 1.96)):
        low, high = expanded_levels(n)
        level = 100.0 * NormalDist().cdf(-quantile * math.sqrt(n / (n - 1)))
        assert low == pytest.approx(level, rel=0.03) and low + high == 100.0


PIXELS = 64


def segmented(generator: np.random.Generator, n: int) -> tuple[Table, Table]:
    """Intersections and unions of two classes in images of which each has errors of its own, for two networks."""
    share = generator.beta(1.0, 1.0, n)
    wrong = generator.beta(0.8, 6.0, n)
    more = np.clip(wrong + 0.5 * generator.beta(0.7, 4.0, n), 0.0, 1.0)
    tables = []
    ones = generator.binomial(PIXELS, share)
    for rate in (wrong, more):
        missed, false = generator.binomial(ones, rate), generator.binomial(PIXELS - ones, rate)
        both = np.stack([PIXELS - ones - false, ones - missed], 1)
        either = np.stack([PIXELS - ones + missed, ones + false], 1)
        tables.append(np.concatenate([both, either], 1).astype(float))
    return tables[0], tables[1]


def mean_iou(sums: Table) -> Table:
    found: Table = 100.0 * (sums[:, :2] / np.maximum(sums[:, 2:], 1.0)).mean(1)
    return found


def test_intervals_of_masks_cover_the_truth_of_few_images() -> None:
    """The 2.5th and 97.5th percentile of eight images would cover it four times out of five."""
    every = segmented(np.random.default_rng(8), 200_000)
    truth = float(np.subtract(*(mean_iou(table.sum(0, keepdims=True)) for table in every))[0])
    task = MeanIoU(Positions(0, 1, 2))

    def figure(rng: np.random.Generator) -> Figure:
        reference, simulated = segmented(rng, 8)
        return task.figure(reference=reference, simulated=simulated)

    assert 0.88 <= covered(figure, truth) <= 0.985


def test_masks_are_resampled_by_images() -> None:
    """Against a bootstrap that is written anew: images drawn one by one, at the levels of 24 samples."""
    reference, simulated = segmented(np.random.default_rng(9), 24)
    figure = MeanIoU(Positions(0, 1, 2)).figure(reference=reference, simulated=simulated)
    rng, drawn = np.random.default_rng(10), []
    for _ in range(4000):
        images = [int(rng.integers(24)) for _ in range(24)]
        one, other = (mean_iou(table[images].sum(0, keepdims=True))[0] for table in (reference, simulated))
        drawn.append((one - other, other))
    level = NormalDist().cdf(-2.0687 * math.sqrt(24 / 23))  # t of 23 degrees of freedom
    for column, interval in ((0, figure.loss_interval), (1, figure.simulated_interval)):
        low, high = np.quantile([row[column] for row in drawn], [level, 1 - level])
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.12 * (high - low))


def test_draws_without_a_figure_are_left_out_unless_they_are_most() -> None:
    values = np.arange(1000.0)
    values[:400] = np.nan
    found = percentiles(values, 10**9)
    assert (found.low, found.high) == pytest.approx((414.975, 984.025), abs=1e-3)
    values[:501] = np.inf
    assert is_undefined(percentiles(values, 10**9))


def test_one_network_beside_itself_has_lost_nothing() -> None:
    own, _ = pairs(np.random.default_rng(2), 30)
    for figure in (
        mean_figure(SCORE, reference=own, simulated=own),
        sums_figure(SCORE, root, reference=own, simulated=own),
    ):
        assert figure.loss == figure.loss_interval.low == figure.loss_interval.high == 0.0


def test_gains_have_the_sign_of_the_direction() -> None:
    worse, better = pairs(np.random.default_rng(3), 40)
    column = better[:, :1] > worse[:, :1].mean()
    for criterion, sign in ((SCORE, 1.0), (ERROR, -1.0)):
        mean = mean_gain(criterion, before=worse, after=better)
        assert mean.value * sign == pytest.approx(better[:, 0].mean() - worse[:, 0].mean())
        assert (mean.interval.low * sign > 0) and (mean.interval.high * sign > 0)
        total = sums_gain(criterion, root, before=worse, after=better)
        assert total.value * sign > 0 and total.interval.low * sign > 0 and total.interval.high * sign > 0
        assert total.interval.low < total.value < total.interval.high
        tables = [np.array([[value], *[[value]] * GROUPS, [40.0]]) for value in (1.0, 3.0)]
        grouped = group_gain(criterion, before=tables[0], after=tables[1])
        assert grouped.value == grouped.interval.low == grouped.interval.high == 2.0 * sign
    share = share_gain(before=np.zeros((40, 1)), after=column.astype(float))
    assert share.value == pytest.approx(100.0 * column.mean())
    assert share.pairs is not None and share.pairs.reference_only == int(column.sum())


def test_what_is_worse_than_any_number() -> None:
    for criterion in (SCORE, ERROR):
        assert difference(criterion, before=math.nan, after=1.0) == math.inf
        assert difference(criterion, before=1.0, after=math.nan) == -math.inf
        assert difference(criterion, before=math.nan, after=math.nan) == 0.0
        assert difference(criterion, before=math.inf, after=math.inf) == 0.0


def test_infinite_scores_have_no_interval() -> None:
    own, other = pairs(np.random.default_rng(4), 20)
    other[3, 0] = np.inf
    figure = mean_figure(ERROR, reference=own, simulated=other)
    assert figure.loss == math.inf and is_undefined(figure.loss_interval)


def test_one_sample_has_no_interval() -> None:
    own, other = pairs(np.random.default_rng(5), 1)
    for figure in (
        mean_figure(ERROR, reference=own, simulated=other),
        sums_figure(ERROR, root, reference=own, simulated=other),
    ):
        assert is_undefined(figure.loss_interval) and is_undefined(figure.simulated_interval)


def test_no_samples_have_no_mean() -> None:
    figure = mean_figure(ERROR, reference=np.zeros((0, 2)), simulated=np.zeros((0, 2)))
    assert figure.sample_count == 0 and math.isnan(figure.reference) and figure.outcomes is None
