"""What a repair did to the float and to the quantized network, as lines of a header."""

from rich.text import Text

from qdiag.cli.tables.sqnr_header import Lines
from qdiag.core.causes.repair import FloatChange
from qdiag.core.measures.change import held_against
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import Figure
from qdiag.reading.words.numbers import UNKNOWN, count_noun, with_unit
from qdiag.reading.words.task.figures import (
    bounds_words,
    change_words,
    figure_words,
    from_to,
    loss_words,
    value_words,
)

_LABEL_AT_MOST = 16
"""A scheme with settings of its own has a name that would leave no room for what stands beside it."""


def float_change_lines(change: FloatChange, bound: float) -> Lines:
    """How far the float output moved, and what that did to its answers."""
    yield (
        "float",
        Text(
            f"output moved by {change.max_abs_delta:.1e} at most, {change.relative_delta:.1e} of its largest value "
            f"(bound {bound:.0e})"
            if change.max_abs_delta != 0.0
            else "output unchanged, to the last bit"
        ),
    )
    for figure in change.task.figures:
        if figure.criterion.is_against_float:
            yield "", Text(figure_words(figure))
        elif figure is change.task.judged:
            yield "", Text(f"{figure.criterion.name} {from_to(figure)}")
    judged = change.task.judged
    if judged is not None and judged.loss > judged.limit:
        lost = loss_words(judged.criterion, judged.loss)
        what = "of the answers change" if judged.criterion.is_against_float else f"of {judged.criterion.name} are lost"
        words = f"the repaired checkpoint is made for the quantized network alone: in float, {lost} {what}"
        yield "", Text(words, style="bold yellow")


def quantized_lines(before: Measurement, after: Measurement, change: FloatChange | None = None) -> Lines:
    """The quantized network before and after, by every figure that both have; both against the same float network.

    Args:
        change: of the float network, where it was changed as well.
    """
    answers_changed = change is not None and any(f.criterion.is_against_float and f.loss for f in change.task.figures)
    word = before.scheme.name if len(before.scheme.name) <= _LABEL_AT_MOST else "quantized"
    for old in before.task.figures:
        new = after.task.figure(old.criterion.name)
        if new is not None:
            yield word, _quantized_text(old, new, is_own=answers_changed)
            word = ""
    beside = ", each beside its own float network" if answers_changed else ""
    for output, output_after in zip(before.outputs, after.outputs, strict=True):
        old_db, new_db = (with_unit(o.sqnr_db, "dB") for o in (output, output_after))
        both_db = old_db if old_db == new_db == UNKNOWN else f"{old_db.removesuffix(' dB')} → {new_db}"
        yield word, Text(f"SQNR of {output.name} {both_db}{beside}")
        word = ""


def _quantized_text(old: Figure, new: Figure, *, is_own: bool) -> Text:
    criterion = old.criterion
    change = f"{value_words(criterion, old.simulated)} → {value_words(criterion, new.simulated)}"
    if criterion.is_against_float:
        whose = "its own" if is_own else "the"
        what = (
            f"same answer as {whose} float network on" if old.counts else f"{criterion.name} with {whose} float network"
        )
        return Text(f"{what} {change}")
    new = held_against(old, new)
    return Text.assemble(
        f"{criterion.name} ", (change, "bold"), f", {_distance_words(new)}, {count_noun(new.sample_count, 'sample')}"
    )


def _distance_words(figure: Figure) -> str:
    """`0.6 pp below float (95 %: -1.0 to 2.2)`; above it, the interval the other way round; `as float`."""
    criterion, loss, interval = figure.criterion, figure.loss, figure.loss_interval
    is_above = loss < 0.0 if criterion.higher_is_better else loss > 0.0
    if loss < 0.0:
        interval = interval.turned
    bounds = bounds_words(criterion, interval)
    behind = f" ({bounds})" if bounds else ""
    if loss == 0.0:
        return f"as float{behind}"
    side = "above" if is_above else "below"
    return f"{change_words(criterion, abs(loss))} {side} float{behind}"


def harmless_words(before: Figure) -> str:
    """Said when nothing shows that the quantized network had lost anything; empty otherwise.

    It is called harmless only where the whole interval lies within the limit.
    """
    interval = before.loss_interval
    bounds = bounds_words(before.criterion, interval)
    if not bounds or interval.low > 0.0:
        return ""
    what = "drop" if before.criterion.higher_is_better else "rise"
    if before.loss < 0.0:  # said as the gain that it is
        what, bounds = (
            "rise" if before.criterion.higher_is_better else "fall",
            bounds_words(before.criterion, interval.turned),
        )
    seen = f"before the repair the {what} was {change_words(before.criterion, abs(before.loss))} ({bounds})"
    samples = count_noun(before.sample_count, "sample")
    if interval.high > before.limit:
        return f"The samples are too few to tell whether there was any harm: {seen}, on {samples}."
    return f"Harmless here: {seen}, nothing that {samples} can tell from chance."
