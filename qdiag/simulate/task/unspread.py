"""Intervals where samples show no spread: a standard error or a bootstrap would take that for certainty."""

import numpy as np

from qdiag.core.measures.counts import wilson_interval
from qdiag.core.measures.task import UNDEFINED, Z_95, Criterion, Interval, PairedCounts
from qdiag.simulate.task.base import Table

_TOPS = (1.0, 100.0)
"""What a success counts, where a failure counts 0."""


def unspread_interval(value: float, *, low: float, high: float, count: float) -> Interval:
    """95 % interval of the mean of numbers from `low` to `high`, of which `count` were seen and all are `value`.

    Of all numbers a share of up to z^2 / (n + z^2) may be others, by the score interval of no success among n (Wilson,
    Journal of the American Statistical Association 22, 1927; about the rule of three, 3.8 instead of 3 because it has
    two sides), and these may lie at either end.
    """
    if count <= 0.0:
        return UNDEFINED
    others = Z_95**2 / (count + Z_95**2)
    return Interval(value - others * (value - low), value + others * (high - value))


def share_loss(criterion: Criterion, loss: float, count: float) -> Interval | None:
    """Of a loss that is the same for all of `count` things; None where values are no percentages, and have no ends."""
    low = 0.0 if criterion.is_against_float else -100.0  # the float network agrees with itself
    return unspread_interval(loss, low=low, high=100.0, count=count) if criterion.is_share else None


def share_change(criterion: Criterion, change: float, count: float) -> Interval | None:
    """Of the difference of two networks, in the same way."""
    return unspread_interval(change, low=-100.0, high=100.0, count=count) if criterion.is_share else None


def share_value(criterion: Criterion, value: float, count: float) -> Interval | None:
    """Of a value, in the same way."""
    return unspread_interval(value, low=0.0, high=100.0, count=count) if criterion.is_share else None


def top_of_successes(*columns: Table) -> float | None:
    """1 or 100, where every score is 0 or that number: samples are successes or none. None where there are others."""
    for top in _TOPS:
        if all(len(column) and np.isin(column, (0.0, top)).all() for column in columns):
            return top
    return None


def success_intervals(top: float, *, reference: Table, simulated: Table) -> tuple[Interval, Interval]:
    """Of the difference reference - simulated, and of the simulated share, in the unit of the scores.

    Args:
        reference, simulated: 0 or `top` for each sample, (N,).
    """
    r, s = reference > 0.0, simulated > 0.0
    counts = PairedCounts(int((r & s).sum()), int((r & ~s).sum()), int((~r & s).sum()), int((~r & ~s).sum()))
    return _scaled(counts.drop_interval_pp, top), _scaled(wilson_interval(int(s.sum()), len(s)), top)


def _scaled(percent: Interval, top: float) -> Interval:
    return Interval(percent.low * top / 100.0, percent.high * top / 100.0)
