"""Sentences of a comparison, the same on the terminal and in Markdown."""

import math
from collections.abc import Iterator, Sequence

from qdiag.core.compare import CauseChange, CauseStatus, Comparison, FigureChange, LayerChange, PercentChange
from qdiag.core.listed import listed
from qdiag.writers.words.numbers import UNKNOWN, count_noun, number

CAUSE_STATUS_WORDS: dict[CauseStatus, str] = {
    "appeared": "new",
    "remains": "still there",
    "gone": "gone",
    "suspect": "not claimed",
}
"""Of `CauseChange.status`."""
CERTAINTY_MARKS = {"certain": "", "likely": " ~", "guess": " ?"}
"""Behind the name of a renamed layer."""


def comparison_headline(comparison: Comparison) -> str:
    """One sentence: better, worse, or neither beyond noise."""
    change = comparison.task.quantized
    what = task_noun(comparison)
    if change is None or change.verdict == "unknown":
        return f"Nothing to say about a task: {what} was not measured in both."
    network = (
        "the quantized network with the float one" if comparison.task.kind == "agreement" else "the quantized network"
    )
    rise = f"{what} of {network} {percent(change.before_percent)} → {percent(change.after_percent)}"
    if change.verdict == "same":
        return f"No difference beyond noise: {rise}, {change_words(change)}."
    return f"{change.verdict.capitalize()}: {rise}, {change_words(change)}."


def task_noun(comparison: Comparison) -> str:
    """What the samples are judged by."""
    return {"top1": "top-1", "agreement": "agreement", "none": "accuracy"}[comparison.task.kind]


def task_rows(comparison: Comparison) -> Iterator[tuple[str, str, str, str]]:
    """What, before, after, change: with interval where there is one."""
    task = comparison.task
    if task.quantized is not None:
        who = "with float" if task.kind == "agreement" else "quantized"
        yield f"{task_noun(comparison)}, {who}", *_percents(task.quantized)
    if task.float_network is not None:
        yield f"{task_noun(comparison)}, float", *_percents(task.float_network)
    if not math.isnan(task.drop_before_pp):
        change = task.drop_after_pp - task.drop_before_pp
        yield "drop", _unit(task.drop_before_pp, "pp"), _unit(task.drop_after_pp, "pp"), f"{signed(change)} pp"
    for figure in task.outputs:
        yield f"SQNR of {figure.name}", *_figures(figure, "{:.1f}")
    for figure in task.metrics:
        yield f"{figure.name}, quantized", *_figures(figure, "{:.4g}")


def pairing_words(comparison: Comparison) -> str:
    """How the intervals of the task came about; empty without a task."""
    change = comparison.task.quantized
    if change is None:
        return ""
    if change.paired_by == "samples":
        count = change.pairs.sample_count if change.pairs else 0
        return f"Intervals are paired: both networks saw the same {count_noun(count, 'sample')}, outcome by outcome."
    return f"Intervals are not paired, and so wider than they could be: {change.why_counts}."


def change_words(change: PercentChange) -> str:
    """`+65.8 pp (95 %: 61.2 to 69.9)`."""
    low, high = change.interval_pp.low, change.interval_pp.high
    bounds = "" if math.isnan(low) else f" (95 %: {signed(low)} to {signed(high)})"
    return f"{signed(change.change_pp)} pp{bounds}"


def layer_counts(comparison: Comparison) -> str:
    """`11 layers better, 2 worse, 18 the same (SQNR changed by less than 1 dB)`."""
    parts = [f"{count_noun(comparison.count('better'), 'layer')} better", f"{comparison.count('worse')} worse"]
    limit = f" (SQNR changed by less than {comparison.min_change_db:g} dB)" if comparison.min_change_db else ""
    parts.append(f"{comparison.count('same')} the same{limit}")
    if comparison.count("unknown"):
        parts.append(f"{comparison.count('unknown')} that cannot be judged")
    return ", ".join(parts)


def matching_words(comparison: Comparison) -> Iterator[str]:
    """Renamed, missing and new layers; nothing where all names are the same."""
    renamed = [layer for layer in comparison.layers if layer.is_renamed]
    if renamed:
        guesses = sum(layer.certainty == "guess" for layer in renamed)
        doubt = f"{len(renamed) - guesses} likely (~), {guesses} guessed (?)" if guesses else "likely (~)"
        first = f"{renamed[0].name_before} → {renamed[0].name}"
        yield f"{count_noun(len(renamed), 'layer')} renamed, told by shape and place, {doubt}; first {first}"
    for lone, words in ((comparison.missing, "gone"), (comparison.new, "new")):
        if lone:
            yield f"{count_noun(len(lone), 'layer')} {words}: {_names([layer.name for layer in lone])}"


def cause_counts(comparison: Comparison) -> str:
    """`1 cause gone, 1 still there, none new`."""
    counts = [(words, len(comparison.causes_with(s))) for s, words in CAUSE_STATUS_WORDS.items() if s != "suspect"]
    if not any(count for _, count in counts):
        return "No cause is claimed in either."
    text = ", ".join(f"{count or 'none'} {word}" for word, count in counts)
    return f"Causes: {text}."


def layer_verdict(layer: LayerChange) -> str:
    """`worse (local)` where the layer itself makes more noise, `worse (propagated)` where more arrives."""
    if layer.verdict in ("same", "unknown"):
        return {"same": "same", "unknown": "not known"}[layer.verdict]
    return f"{layer.verdict} ({'local' if layer.local == layer.verdict else 'propagated'})"


def cause_layers(cause: CauseChange) -> str:
    """Where it is, or was."""
    return _names(cause.layers_after or cause.layers_before)


def given_back(cause: CauseChange) -> tuple[str, str]:
    """What its best repair gives back, before and after, in points or else in dB; empty where it is not there."""
    before = _back(cause.recovered_before_pp, cause.recovered_before_db)
    after = _back(cause.recovered_after_pp, cause.recovered_after_db)
    return before, after


def signed(value: float, decimals: int = 1) -> str:
    """`+3.2`, `-0.4`, `0.0`; `-` for NaN."""
    if math.isnan(value):
        return "-"
    text = number(value, decimals)
    return f"+{text}" if value > 0.0 and text.strip("0.") else text


def percent(value: float) -> str:
    """`76.4 %`."""
    return _unit(value, "%")


def decibels(value: float) -> str:
    """One decimal; `-` for NaN."""
    return "-" if math.isnan(value) else number(value)


def _percents(change: PercentChange) -> tuple[str, str, str]:
    return percent(change.before_percent), percent(change.after_percent), change_words(change)


def _figures(figure: FigureChange, form: str) -> tuple[str, str, str]:
    before, after = (
        UNKNOWN if math.isnan(value) else f"{form.format(value)} {figure.unit}".rstrip()
        for value in (figure.before, figure.after)
    )
    if math.isnan(figure.before) or math.isnan(figure.after):
        return before, after, "-"
    change = 0.0 if figure.before == figure.after else figure.after - figure.before
    text = form.format(change)
    return before, after, f"{'+' if change > 0.0 else ''}{text} {figure.unit}".rstrip()


def _unit(value: float, unit: str) -> str:
    return UNKNOWN if math.isnan(value) else f"{number(value)} {unit}"


def _back(points: float, db: float) -> str:
    if not math.isnan(points):
        return f"{signed(points)} pp"
    return "" if math.isnan(db) else f"{signed(db)} dB"


def _names(names: Sequence[str]) -> str:
    return listed([" ".join(name.split()) for name in names])  # a line break in a name would break the table
