"""Figures and sentences as the templates ask for them."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from markupsafe import Markup

from qdiag.core.measures.task import Criterion, Interval
from qdiag.core.printable import printable
from qdiag.reading.layers.columns import LayerColumn
from qdiag.reading.suspects import SuspectRow
from qdiag.reading.words.bn import dead_sentence
from qdiag.reading.words.commands.shell import option_groups
from qdiag.reading.words.layers import arithmetic_words, tensor_scheme_words
from qdiag.reading.words.numbers import held_together, significant
from qdiag.reading.words.size import size_words
from qdiag.reading.words.task.choice import judged_words, next_step_words
from qdiag.reading.words.task.figures import change_unit, digits, figure_words, noun

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"
_Row = TypeVar("_Row")
_UNBROKEN = 20
"""Characters of a name between two places where a line may end."""
METERS = ("local", "propagated")
"""Columns of layers with a bar behind each figure."""


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


def figure_digits(value: float, criterion: Criterion | None) -> str:
    """The number of a figure, as `digits` writes it, with a true minus sign."""
    if not math.isfinite(value):
        return figure(value)
    return digits(criterion, value).replace("-", MINUS)


def value(number: float, criterion: Criterion | None) -> str:
    """`76.4 %`."""
    return _with_unit(number, criterion, criterion.unit if criterion is not None else "dB")


def change(number: float, criterion: Criterion | None) -> str:
    """`67.4 pp`."""
    return _with_unit(number, criterion, change_unit(criterion))


def loss(number: float, criterion: Criterion | None) -> str:
    """`87.8 %` of answers that changed; otherwise as `change`."""
    return _with_unit(number, criterion, criterion.harm_unit if criterion is not None else "dB")


def _with_unit(number: float, criterion: Criterion | None, unit: str) -> str:
    return figure(number) if math.isnan(number) else f"{figure_digits(number, criterion)} {unit}".rstrip()


def signed_change(number: float, criterion: Criterion | None) -> str:
    """`+8.6 pp`."""
    return ("+" if number > 0.0 and not _is_nothing(number, criterion) else "") + change(number, criterion)


def _is_nothing(number: float, criterion: Criterion | None) -> bool:
    """It is shown as zero, which has no sign."""
    return not figure_digits(number, criterion).strip("0.")


def value_tile(number: float, criterion: Criterion) -> Markup:
    """A large number and its small unit."""
    return _tile(number, criterion, criterion.unit)


def loss_tile(number: float, criterion: Criterion) -> Markup:
    """The same of a loss."""
    return _tile(number, criterion, criterion.harm_unit)


def _tile(number: float, criterion: Criterion, unit: str) -> Markup:
    small = Markup(" <small>{}</small>").format(printable(unit)) if unit and not math.isnan(number) else Markup("")
    return Markup("{}{}").format(figure_digits(number, criterion), small)


def bounds(interval: Interval, criterion: Criterion | None) -> str:
    """`95 %: 63.0 to 71.3`; empty when a bound is NaN."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return ""
    return f"95 %: {figure_digits(interval.low, criterion)} to {figure_digits(interval.high, criterion)}"


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


def slug(words: str) -> str:
    """A name as part of an anchor: `local-sqnr`."""
    return re.sub(r"\W+", "-", words.lower()).strip("-")


def column_class(column: LayerColumn) -> str:
    """Of its cells: what it shows, and that figures stand to the right."""
    return f"c-{slug(column.label)}{'' if column.is_words else ' n'}{' meter' if column.label in METERS else ''}"


def where_and_gain(row: SuspectRow) -> str:
    """The line of a suspect without its code and title, which stand above it: `blocks.0.dw: recovers 3.1 pp`."""
    return re.sub(r"^\((.*?)\): ", r"\1: ", row.line.removeprefix(f"{row.code} {row.title} "))


def typeset(text: str, names: Iterable[str] = ()) -> str:
    """With true minus signs, and no line that ends between a figure and its unit."""
    return unbroken(re.sub(r"((?<![\w.-])|(?<=\de))-(?=\d|inf)", MINUS, text), names)


def thousands(value: int) -> str:
    """`2,585,560`, as every sentence writes it."""
    return f"{value:,}"


def breakable(name: str) -> Markup:
    """A name in which a line may end behind a slash or a dot, and within long words."""
    words = re.findall(rf"[^/.]{{1,{_UNBROKEN}}}[/.]*|[/.]+", printable(name))
    return Markup("<wbr>").join(words)


def last_part(path: str) -> str:
    """`networks.py:build` of a long path."""
    return path.rstrip("/").rsplit("/", 1)[-1]


def unbroken(text: str, names: Iterable[str] = ()) -> str:
    """No line ends between a figure and its unit, or inside one of the names: `top-1` of a criterion."""
    text = held_together(text, "\N{NO-BREAK SPACE}")
    text = text.replace(" \N{RIGHTWARDS ARROW}", "\N{NO-BREAK SPACE}\N{RIGHTWARDS ARROW}")
    for name in names:
        whole = name.replace("-", "\N{NON-BREAKING HYPHEN}").replace("\\", r"\\")
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", whole, text)
    return text


def in_parts(rows: Sequence[_Row], count: int) -> list[Sequence[_Row]]:
    """The rows of a table that are shown at first, and those that follow, if there are any."""
    return [part for part in (rows[:count], rows[count:]) if part]


def capitalize_first(text: str) -> str:
    """The rest as it is, which `capitalize` would lower."""
    return text[:1].upper() + text[1:]


FILTERS: Mapping[str, Callable[..., Any]] = {
    "arithmetic": arithmetic_words,
    "bounds": bounds,
    "breakable": breakable,
    "capitalize_first": capitalize_first,
    "cell_value": cell_value,
    "change": change,
    "column_class": column_class,
    "dead_sentence": dead_sentence,
    "figure": figure,
    "figure_words": figure_words,
    "in_parts": in_parts,
    "judged": judged_words,
    "size_words": size_words,
    "last_part": last_part,
    "loss": loss,
    "loss_tile": loss_tile,
    "meter": meter,
    "next_step": next_step_words,
    "noun": noun,
    "percent": percent,
    "place": place,
    "scheme": tensor_scheme_words,
    "short": short,
    "slug": slug,
    "signed_change": signed_change,
    "thousands": thousands,
    "option_groups": option_groups,
    "typeset": typeset,
    "unbroken": unbroken,
    "value": value,
    "value_tile": value_tile,
    "where_and_gain": where_and_gain,
}
