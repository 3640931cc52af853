"""Figures that come from sums over samples and are no means of them: mIoU, RMSE, average precision."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from qdiag.core.measures.task import UNDEFINED, Z_95, Criterion, Figure, Interval
from qdiag.simulate.task.base import Gain, Table, difference
from qdiag.simulate.task.unspread import share_change, share_loss, share_value

RESAMPLES = 1000
"""Draws of the bootstrap; the bounds of a 95 % interval then rest on the 25 lowest and highest."""
BLOCKS = 5000
"""Samples, or blocks of them, that are drawn at most."""
_SEED = 0

OfSums = Callable[[Table], Table]
"""From sums of rows, (B, K), to figures, (B,)."""


def sums_figure(
    criterion: Criterion, value: OfSums, *, reference: Table, simulated: Table, unit_count: float | None = None
) -> Figure:
    """The figure of both networks, and 95 % intervals by the paired bootstrap over samples.

    Every draw takes the same samples of both networks: samples are images, never their pixels, which are not
    independent. Source: Efron & Tibshirani, An Introduction to the Bootstrap, 1993, percentile interval, with the
    levels of `expanded_levels`. A percentage that is the same in all draws has the interval of `unspread_interval`.

    Args:
        value: makes figures of sums. reference, simulated: one row per sample, (N, K).
        unit_count: boxes that are counted, of which none shows a difference where draws show none; the samples
            without it.
    """
    counted = reference.any(1) | simulated.any(1)
    n = int(counted.sum())  # of the others, such as masks that are all ignored, nothing is known
    one, other = (float(value(table.sum(0, keepdims=True))[0]) for table in (reference, simulated))
    found = Figure(criterion, len(simulated), one, other)
    if n < 2:
        return found
    drawn = [value(_resampled(table[counted])) for table in (reference, simulated)]
    return with_intervals(found, n, reference=drawn[0], simulated=drawn[1], unit_count=unit_count or n)


def with_intervals(figure: Figure, count: int, *, reference: Table, simulated: Table, unit_count: float) -> Figure:
    """The figure with the intervals of draws (B,) of both networks, of `count` samples each."""
    criterion = figure.criterion
    sign = 1.0 if criterion.higher_is_better else -1.0
    losses = sign * (reference - simulated)
    loss = _of_constant(losses, share_loss(criterion, figure.loss, unit_count)) or percentiles(
        losses, count, figure.loss
    )
    own = _of_constant(simulated, share_value(criterion, figure.simulated, unit_count))
    return replace(
        figure, loss_interval=loss, simulated_interval=own or percentiles(simulated, count, figure.simulated)
    )


def sums_gain(
    criterion: Criterion, value: OfSums, *, before: Table, after: Table, unit_count: float | None = None
) -> Gain:
    """What `after` has over `before`, with its paired bootstrap interval."""
    one, other = (float(value(table.sum(0, keepdims=True))[0]) for table in (before, after))
    gained = difference(criterion, before=one, after=other)
    counted = before.any(1) | after.any(1)
    n = int(counted.sum())
    if n < 2 or not np.isfinite(gained):
        return Gain(gained, UNDEFINED if np.isfinite(gained) else Interval(gained, gained))
    drawn = [value(_resampled(table[counted])) for table in (before, after)]
    interval = gain_interval(criterion, gained, n, before=drawn[0], after=drawn[1], unit_count=unit_count or n)
    return Gain(gained, interval)


def gain_interval(
    criterion: Criterion, gained: float, count: int, *, before: Table, after: Table, unit_count: float
) -> Interval:
    """Of draws (B,) of both networks, of `count` samples each."""
    gains = (1.0 if criterion.higher_is_better else -1.0) * (after - before)
    return _of_constant(gains, share_change(criterion, gained, unit_count)) or percentiles(gains, count)


def _of_constant(values: Table, interval: Interval | None) -> Interval | None:
    """The interval where all draws are the same number."""
    return interval if len(values) and bool((values == values[0]).all()) else None


def _resampled(table: Table) -> Table:
    """Sums of rows, once for each draw, (B, K). Of more samples than `BLOCKS` every so many are drawn together: the
    draws would take gigabytes, and blocks of independent samples are independent too.
    """
    blocks = table
    if len(table) > BLOCKS:
        blocks = np.zeros((BLOCKS, table.shape[1]))
        np.add.at(blocks, np.arange(len(table)) % BLOCKS, table)
    found: Table = draws(len(blocks)) @ blocks
    return found


@lru_cache(maxsize=4)  # 40 MB each for as many samples as `BLOCKS`
def draws(n: int) -> Table:
    """How often each of n samples is drawn, (B, n): the same draws for whatever is compared."""
    generator = np.random.default_rng(_SEED)
    found: Table = generator.multinomial(n, np.full(n, 1.0 / n), size=RESAMPLES).astype(np.float64)
    return found


def expanded_levels(count: int) -> tuple[float, float]:
    """Percentiles of draws that hold a 95 % interval of so few samples: 2.5 and 97.5 of many, wider ones of few.

    A draw varies too little by the factor sqrt((n - 1) / n), and its percentiles know nothing of Student's t. Source:
    Hesterberg, What Teachers Should Know About the Bootstrap, The American Statistician 69(4), 2015, section 5.2
    (expanded percentile interval). Quantiles of t by the expansion of Cornish and Fisher.
    """
    z, free = Z_95, max(count - 1, 1)
    quantile = (
        z
        + (z**3 + z) / (4 * free)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * free**3)
    )
    low = 100.0 * NormalDist().cdf(-quantile * math.sqrt((free + 1) / free))
    return low, 100.0 - low


def percentiles(values: Table, count: int, value: float = math.nan) -> Interval:
    """Between the levels of `expanded_levels`, and as far as the figure itself, which few samples may put beside them;
    undefined where less than half of the draws have a figure.
    """
    finite = values[np.isfinite(values)]
    if len(finite) < max(len(values) // 2, 1):
        return UNDEFINED
    low, high = np.percentile(finite, expanded_levels(count))
    return Interval(float(np.fmin(low, value)), float(np.fmax(high, value)))
