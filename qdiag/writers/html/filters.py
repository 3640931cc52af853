"""Figures and sentences as the templates ask for them."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from qdiag.core.causes.findings import Evidence
from qdiag.core.causes.ranking import RankedCause
from qdiag.core.measures.task import Interval
from qdiag.writers.html.layer_view import channel_words
from qdiag.writers.words.bn import dead_sentence
from qdiag.writers.words.causes import cause_line, cause_title, repair_title, score_words
from qdiag.writers.words.evidence import evidence_words, float_words
from qdiag.writers.words.layers import arithmetic_words, tensor_scheme_words
from qdiag.writers.words.numbers import significant

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"


def figure(value: float) -> str:
    """`67.4`, `∞`; a true minus sign, and an en dash where nothing is known."""
    if math.isnan(value):
        return NONE
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:.1f}"
    return (text.removeprefix("-") if float(text) == 0.0 else text).replace("-", MINUS)


def amount(value: float, unit: str) -> str:
    """`67.4 pp`; nothing known has no unit."""
    return figure(value) if math.isnan(value) else f"{figure(value)} {unit}"


def signed(value: float) -> str:
    """The same with the sign of a change: `+8.6`, `0.0`."""
    text = figure(value)
    return text if value != value or text in ("0.0", NONE) or text.startswith(MINUS) else f"+{text}"


def between(interval: Interval) -> str:
    """`63.0 to 71.3`; empty when a bound is NaN."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return ""
    return f"95 %: {figure(interval.low)} to {figure(interval.high)}"


def short(value: float) -> str:
    """Three significant digits; counts in full."""
    if not math.isfinite(value):
        return figure(value)
    if value == round(value) and abs(value) < 1e7:
        return thousands(round(value)).replace("-", MINUS)
    return significant(value).replace("-", MINUS)


def place(value: float) -> str:
    """A length in percent, for a style attribute."""
    return f"{value:.2f}" if math.isfinite(value) else "0"


def percent(fraction: float) -> str:
    """A share without its unit: `0.31`, `0`."""
    return NONE if math.isnan(fraction) else f"{100.0 * fraction:.2g}"


def cell_value(value: float) -> str:
    """What the script sorts by."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return f"{value:.6g}"


def meter(value: float) -> str:
    """Length of the bar behind a figure in dB: 60 dB fill the cell."""
    return place(100.0 * min(max(value / 60.0, 0.0), 1.0)) if not math.isnan(value) else "0"


def cost_words(cost: Evidence) -> str:
    """`scales to store: 442 values`."""
    return f"{cost.name.replace('_', ' ')}: {short(cost.value)} {cost.unit}".rstrip()


def where_and_gain(cause: RankedCause) -> str:
    """The line of a cause without its code and title, which stand above it."""
    return cause_line(cause).removeprefix(f"{cause.code} {cause_title(cause.code)} ")


def thousands(value: int) -> str:
    """`2 585 560`, with narrow spaces."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def last_part(path: str) -> str:
    """`networks.py:build` of a long path."""
    return path.rstrip("/").rsplit("/", 1)[-1]


def unbroken(text: str) -> str:
    """No line ends between a figure and its unit, or inside `top-1`."""
    text = re.sub(r"(\d) (?=(pp|%|dB)\b|%)", "\\1\N{NO-BREAK SPACE}", text)
    return re.sub(r"\btop-(?=\d)", "top\N{NON-BREAKING HYPHEN}", text)


def capitalize_first(text: str) -> str:
    """The rest as it is, which `capitalize` would lower."""
    return text[:1].upper() + text[1:]


FILTERS: Mapping[str, Callable[..., Any]] = {
    "amount": amount,
    "arithmetic": arithmetic_words,
    "between": between,
    "capitalize_first": capitalize_first,
    "cause_title": cause_title,
    "cell_value": cell_value,
    "channels": channel_words,
    "cost": cost_words,
    "dead_sentence": dead_sentence,
    "evidence": evidence_words,
    "figure": figure,
    "float_cost": float_words,
    "last_part": last_part,
    "meter": meter,
    "percent": percent,
    "place": place,
    "repair_title": repair_title,
    "scheme": tensor_scheme_words,
    "score_words": score_words,
    "short": short,
    "signed": signed,
    "thousands": thousands,
    "unbroken": unbroken,
    "where_and_gain": where_and_gain,
}
