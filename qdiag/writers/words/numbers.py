"""Figures as words, the same in tables, reports and pictures: one decimal, the unit, infinite and unknown values."""

import math

from qdiag.core.causes.ranking import Recovery, TaskKind
from qdiag.core.measures.task import Interval

UNKNOWN = "not known"


def number(value: float, decimals: int = 1) -> str:
    """`-3.2`, `inf`, or `not known` for NaN; a zero has no sign."""
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "inf" if value > 0.0 else "-inf"
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0.0 else text


def with_unit(value: float, unit: str, decimals: int = 1) -> str:
    """`67.4 pp`; NaN has no unit."""
    return UNKNOWN if math.isnan(value) else f"{number(value, decimals)} {unit}".rstrip()


def interval_words(interval: Interval, decimals: int = 1) -> str:
    """`95 %: 63.0 to 71.3`; empty when a bound is NaN."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return ""
    return f"95 %: {number(interval.low, decimals)} to {number(interval.high, decimals)}"


def with_interval(value: float, unit: str, interval: Interval) -> str:
    """`67.4 pp (95 %: 63.0 to 71.3)`."""
    bounds = interval_words(interval)
    return with_unit(value, unit) + (f" ({bounds})" if bounds else "")


def recovery_words(recovery: Recovery) -> str:
    """What came back, in points where there are logits, in dB of output SQNR otherwise, with the 95 % interval."""
    if recovery.pairs is not None:
        return with_interval(recovery.recovered_pp, "pp", recovery.pp_interval)
    return with_interval(recovery.recovered_db, "dB", recovery.db_interval)


def task_noun(kind: TaskKind) -> str:
    """What points are points of."""
    return {"top1": "top-1", "agreement": "agreement", "none": "output SQNR"}[kind]


def count_noun(count: int, noun: str) -> str:
    """`1 layer`, `3 layers`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def significant(value: float) -> str:
    """Three significant digits, for ratios and ranges."""
    return UNKNOWN if math.isnan(value) else f"{value:.3g}"
