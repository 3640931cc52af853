"""From a figure, its interval and its limits to a status."""

import math

from qdiag.core.gate import GateStatus
from qdiag.core.measures.task import Interval
from qdiag.core.thresholds import Limit


def upper_status(value: float, interval: Interval | None, limit: Limit) -> GateStatus:
    """Of a figure that must not exceed its limit.

    With an interval: `fail` when all of it lies above the limit, `undecided` when the limit lies inside. The level
    `warn` goes by the figure itself. NaN cannot be judged.
    """
    if math.isnan(value):
        return "cannot_judge"
    if limit.fail is not None:
        low, high = (interval.low, interval.high) if interval is not None else (value, value)
        if math.isnan(low) or math.isnan(high):
            return "cannot_judge"
        if value > limit.fail and low > limit.fail:
            return "fail"
        if value > limit.fail or high > limit.fail:
            return "undecided"
    return "warn" if limit.warn is not None and value > limit.warn else "pass"


def lower_status(value: float, interval: Interval | None, limit: Limit) -> GateStatus:
    """Of a figure that must not fall below its limit; see `upper_status`."""
    mirrored = None if interval is None else Interval(-interval.high, -interval.low)
    return upper_status(-value, mirrored, Limit(_negative(limit.fail), _negative(limit.warn)))


def held(limit: float | None) -> float:
    """A limit as a check stores it."""
    return math.nan if limit is None else limit


def _negative(limit: float | None) -> float | None:
    return None if limit is None else -limit
