"""What a repair did to the float and to the quantized network, as lines of a header."""

from rich.text import Text

from qdiag.cli.tables.sqnr_header import Lines
from qdiag.core.causes.repair import FloatChange
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import Figure, Interval
from qdiag.writers.words.task.figures import bounds_words, change_words, figure_words, from_to, value_words

_LABEL_AT_MOST = 16
"""A scheme with settings of its own has a name that would leave no room for what stands beside it."""


def float_change_lines(change: FloatChange, bound: float) -> Lines:
    """How far the float output moved, and what that did to its answers."""
    yield (
        "float",
        Text(
            f"output moved by {change.max_abs_delta:.1e} at most, {change.relative_delta:.1e} of its largest value "
            f"(bound {bound:.0e})"
        ),
    )
    for figure in change.task.figures:
        if figure.criterion.is_against_float:
            yield "", Text(figure_words(figure))
        elif figure is change.task.judged:
            yield "", Text(f"{figure.criterion.name} {from_to(figure)}")


def quantized_lines(before: Measurement, after: Measurement) -> Lines:
    """The quantized network before and after, by every figure that both have."""
    word = before.scheme.name if len(before.scheme.name) <= _LABEL_AT_MOST else "quantized"
    for old in before.task.figures:
        new = after.task.figure(old.criterion.name)
        if new is not None:
            yield word, _quantized_text(old, new)
            word = ""
    for output, output_after in zip(before.outputs, after.outputs, strict=True):
        old_db, new_db = output.error.sqnr_db, output_after.error.sqnr_db
        yield word, Text(f"SQNR of {output.name} {old_db:.1f} → {new_db:.1f} dB")
        word = ""


def _quantized_text(old: Figure, new: Figure) -> Text:
    criterion = old.criterion
    change = f"{value_words(criterion, old.simulated)} → {value_words(criterion, new.simulated)}"
    if criterion.is_against_float:
        what = "same answer as the float network on" if old.counts else f"{criterion.name} with the float network"
        return Text(f"{what} {change}")
    return Text.assemble(
        f"{criterion.name} ", (change, "bold"), f", {_distance_words(new)}, {new.sample_count} samples"
    )


def _distance_words(figure: Figure) -> str:
    """`0.6 pp below float (95 %: -1.0 to 2.2)`; above it, the interval the other way round."""
    criterion, loss, interval = figure.criterion, figure.loss, figure.loss_interval
    is_above = loss < 0.0 if criterion.higher_is_better else loss > 0.0
    if loss < 0.0:
        interval = Interval(-interval.high, -interval.low)
    bounds = bounds_words(criterion, interval)
    side = "above" if is_above else "below"
    return f"{change_words(criterion, abs(loss))} {side} float" + (f" ({bounds})" if bounds else "")


def harmless_words(before: Figure) -> str:
    """Said when the quantized network had lost nothing to begin with; empty otherwise."""
    interval = before.loss_interval
    bounds = bounds_words(before.criterion, interval)
    if not bounds or interval.low > 0.0:
        return ""
    what = "drop" if before.criterion.higher_is_better else "rise"
    return (
        f"Harmless here: before the repair the {what} was {change_words(before.criterion, before.loss)} ({bounds}), "
        f"nothing that {before.sample_count} samples can tell from chance."
    )
