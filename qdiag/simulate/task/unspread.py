"""Intervals of percentages that are the same for all that was counted, which a bootstrap would take for certainty."""

from qdiag.core.measures.counts import unspread_interval
from qdiag.core.measures.task import Criterion, Interval


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
