"""Figures as words, the same in tables, reports and pictures: one decimal, the unit, infinite and unknown values."""

import math

UNKNOWN = "not known"
SILENT = "the float output is zero everywhere"


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


def count_noun(count: int, noun: str) -> str:
    """`1 layer`, `3 layers`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def significant(value: float) -> str:
    """Three significant digits, for ratios and ranges."""
    return UNKNOWN if math.isnan(value) else f"{value:.3g}"
