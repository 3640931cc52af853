"""Figures as words, the same in tables, reports and pictures: one decimal, the unit, infinite and unknown values."""

import math
import re

from qdiag.core.listed import count_noun as count_noun  # words of counts belong to what is shown as well

UNKNOWN = "not known"
NOTHING, EXACT = "-", "exact"
"""In cells of a table: what is not defined, and an SQNR without noise."""
EXACT_OUTPUTS = "outputs exact"
SILENT = "the float output is zero everywhere"
UNITS = r"%|pp|dB|ms|s|min|h|bytes?|bits?|[kMGT]i?B|[kM]|x"
"""What no line should part from the number before it, as a regular expression, which a browser reads as well."""
_BLANK = re.compile(rf"(?<=\d) (?=(?:{UNITS})(?![\w%]))|(?<=\d [kM]) (?=parameters)")


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


def held_together(words: str, blank: str) -> str:
    """The words with `blank` for each blank between a number and its unit."""
    return _BLANK.sub(blank, words)


def recovers_words(amount: str) -> str:
    """`recovers 67.4 pp`; where the amount has a minus, `loses 3.1 pp more`."""
    return f"loses {amount[1:]} more" if amount.startswith("-") else f"recovers {amount}"


def significant(value: float) -> str:
    """Three significant digits, for ratios and ranges."""
    return UNKNOWN if math.isnan(value) else f"{value:.3g}"


def decibels(value: float) -> str:
    """One decimal; `exact` where there is no noise, `-` where nothing is defined."""
    if math.isinf(value):
        return EXACT if value > 0.0 else "-inf"
    if math.isnan(value):
        return NOTHING
    return number(value)


def decibel_words(value: float) -> str:
    """`3.1 dB`; `exact` where there is no noise."""
    return EXACT if value == math.inf else with_unit(value, "dB")


def percent(fraction: float) -> str:
    """One decimal; small shares are told apart from none."""
    if math.isnan(fraction):
        return NOTHING
    if 0.0 < fraction < 0.0005:
        return "<0.1"
    return f"{100.0 * fraction:.1f}"
