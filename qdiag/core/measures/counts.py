"""Figures that come from counts: each sample is a success or none."""

import math
from collections.abc import Sequence

from qdiag.core.measures.ranges import TensorRange
from qdiag.core.measures.task import UNDEFINED, Z_95, Criterion, Figure, Interval, PairedCounts

_TOPS = (1.0, 100.0)
"""What a success counts, where a failure counts 0."""


def counts_figure(criterion: Criterion, counts: PairedCounts) -> Figure:
    """The figure of paired counts; the interval of the loss is of Bonett & Price.

    Where the float network has no failure by definition, it is the Wilson score interval of the failures instead.
    """
    n = counts.sample_count
    if not n:
        loss, own = UNDEFINED, UNDEFINED
    else:
        failed = counts.reference_only + counts.neither
        own = wilson_interval(n - failed, n)
        loss = wilson_interval(failed, n) if criterion.is_against_float else counts.drop_interval_pp
    return Figure(criterion, n, counts.reference_percent, counts.simulated_percent, loss, own, counts)


def wilson_interval(hits: int, n: int) -> Interval:
    """95 % interval of a share, in percent: the score interval, which holds its level near 0 and 100 % too.

    NaN without samples. Source: Wilson, Journal of the American Statistical Association 22, 1927.
    """
    if n == 0:
        return UNDEFINED
    z, share = Z_95, hits / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    margin = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(100.0 * max(0.0, centre - margin), 100.0 * min(1.0, centre + margin))


def share_beyond(seen: TensorRange, low: float, high: float, by_percent: float) -> Interval:
    """95 % interval of the share of values that lie beyond a range by so much of it, in percent, see `wilson_interval`.

    By the sampled values whose bins lie beyond. A single one says nothing about the others, and has no lower end.
    """
    if seen.histogram is None:
        return UNDEFINED
    margin = by_percent / 100.0 * (high - low)
    low, high = low - margin, high + margin
    width, bins = seen.histogram.bin_width, enumerate(seen.histogram.counts, seen.histogram.first_bin)
    hits = sum(count for i, count in bins if (i + 1) * width <= low or i * width >= high)
    found = wilson_interval(hits, seen.histogram.total)
    return found if hits > 1 else Interval(0.0, found.high)


def unspread_interval(value: float, *, low: float, high: float, count: float) -> Interval:
    """95 % interval of the mean of numbers from `low` to `high`, of which `count` were seen and all are `value`.

    A standard error would take that for certainty. Of all numbers a share of up to z^2 / (n + z^2) may be others, by
    the score interval of no success among n (Wilson, see above; about the rule of three, 3.8 instead of 3 because it
    has two sides), and these may lie at either end.
    """
    if count <= 0.0:
        return UNDEFINED
    others = Z_95**2 / (count + Z_95**2)
    return Interval(value - others * (value - low), value + others * (high - value))


def success_intervals(reference: Sequence[float], simulated: Sequence[float]) -> tuple[Interval, Interval] | None:
    """Of the mean of reference - simulated, and of the mean of simulated, where every score is 0 or 1, or 0 or 100.

    Those of shares, reaching as far as the value itself; None where there are other scores.
    """
    top = next(
        (top for top in _TOPS if len(simulated) and all(x in (0.0, top) for x in (*reference, *simulated))), None
    )
    if top is None:
        return None
    pairs = [(r > 0.0, s > 0.0) for r, s in zip(reference, simulated, strict=True)]
    counts = PairedCounts(*(pairs.count(kind) for kind in ((True, True), (True, False), (False, True), (False, False))))
    loss, own, size = (
        counts.drop_interval_pp,
        wilson_interval(counts.both + counts.simulated_only, len(pairs)),
        top / 100.0,
    )
    low, high = min(loss.low, counts.drop_pp), max(loss.high, counts.drop_pp)
    return Interval(size * low, size * high), Interval(size * own.low, size * own.high)
