"""Figures that come from counts: each sample is a success or none."""

import math

from qdiag.core.measures.task import UNDEFINED, Z_95, Criterion, Figure, Interval, PairedCounts


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
