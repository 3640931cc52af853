"""Sentences of a comparison, the same on the terminal and in Markdown."""

import math
from collections.abc import Iterator, Sequence

from qdiag.core.compare import CauseChange, CauseStatus, Comparison, LayerChange
from qdiag.core.listed import listed
from qdiag.core.measures.task import Criterion
from qdiag.core.measures.task_change import FigureChange, ValueChange, difference
from qdiag.reading.layer_names import layer_named, layers_named
from qdiag.reading.words.causes import VERDICT_WORDS, cause_title
from qdiag.reading.words.numbers import UNKNOWN, count_noun, decibel_words, number
from qdiag.reading.words.task.figures import change_words as change_amount
from qdiag.reading.words.task.figures import digits, value_words

CAUSE_STATUS_WORDS: dict[CauseStatus, str] = {
    "appeared": "new",
    "remains": "still there",
    "gone": "gone",
    "suspect": "not claimed",
}
"""Of `CauseChange.status`."""
CERTAINTY_MARKS = {"certain": "", "likely": " ~", "guess": " ?"}
"""Behind the name of a renamed layer."""
NO_SQNR = "one of the two networks has no finite SQNR there"
"""What a dash stands for in place of decibels."""


def comparison_headline(comparison: Comparison) -> str:
    """One sentence: better, worse, or neither beyond noise."""
    judged = comparison.task.judged
    if judged is None:
        return "No figure of a task was measured in both."
    criterion, change = judged.criterion, judged.quantized
    network = "the quantized network with the float one" if criterion.is_against_float else "the quantized network"
    values = f"{value_words(criterion, change.before)} → {value_words(criterion, change.after)}"
    rise = f"{criterion.name} of {network} {values}, {change_words(criterion, change)}"
    if change.verdict == "same":
        return f"No difference beyond noise: {rise}."
    if change.verdict == "unknown":
        return f"Not known whether beyond noise: {rise}."
    return f"{change.verdict.capitalize()}: {rise}."


def task_rows(comparison: Comparison) -> Iterator[tuple[str, str, str, str]]:
    """What, before, after, change: with interval where there is one; the judged figure first."""
    task = comparison.task
    if task.judged is not None:
        yield from _judged_rows(task.judged)
    for output in task.outputs:
        yield f"SQNR of {output.name}", *_plain(output.before, output.after)
    for figure in task.figures[1:]:
        yield _quantized_row(figure)


def _judged_rows(figure: FigureChange) -> Iterator[tuple[str, str, str, str]]:
    criterion = figure.criterion
    yield _quantized_row(figure)
    if figure.float_network is not None:
        yield f"{criterion.name}, float", *_cells(criterion, figure.float_network)
    change = difference(figure.loss_before, figure.loss_after)
    if not math.isnan(change):
        before, after = (change_amount(criterion, loss) for loss in (figure.loss_before, figure.loss_after))
        yield "drop" if criterion.higher_is_better else "loss", before, after, _signed_amount(criterion, change)


def _quantized_row(figure: FigureChange) -> tuple[str, str, str, str]:
    who = "with float" if figure.criterion.is_against_float else "quantized"
    return f"{figure.criterion.name}, {who}", *_cells(figure.criterion, figure.quantized)


def pairing_words(comparison: Comparison) -> str:
    """How the intervals of the task came about; empty without a task."""
    if comparison.task.judged is None:
        return ""
    change = comparison.task.judged.quantized
    if change.paired_by == "samples":
        samples = count_noun(change.sample_count, "sample")
        words = f"Intervals are paired: both networks saw the same {samples}, outcome by outcome"
        others = [figure for figure in comparison.task.figures if figure.quantized.paired_by != "samples"]
        return f"{words}{f', except for {listed([f.criterion.name for f in others])}' if others else ''}."
    if math.isnan(change.interval.low):
        return f"There is no interval of the difference: {change.why_unpaired}."
    return f"Intervals are not paired, and so wider than they could be: {change.why_unpaired}."


def change_words(criterion: Criterion, change: ValueChange) -> str:
    """`+65.8 pp (95 %: 61.2 to 69.9)`."""
    low, high = change.interval.low, change.interval.high
    bounds = ""
    if not math.isnan(low):
        bounds = f" (95 %: {_signed_digits(criterion, low)} to {_signed_digits(criterion, high)})"
    return f"{_signed_amount(criterion, change.change)}{bounds}"


def layer_counts(comparison: Comparison) -> str:
    """`11 layers got better, 2 got worse, and 18 stayed the same: their SQNR changed by less than 1 dB`."""
    better, worse = comparison.count("better"), comparison.count("worse")
    same, unknown = comparison.count("same"), comparison.count("unknown")
    parts = [f"{count_noun(better, 'layer') if better else 'No layer'} got better", f"{worse or 'none'} got worse"]
    if unknown:
        parts.append(f"{unknown} cannot be judged")
    whose = "its" if same == 1 else "their"
    limit = f": {whose} SQNR changed by less than {comparison.min_change_db:g} dB"
    return (
        f"{', '.join(parts)}, and {same or 'none'} stayed the same{limit if comparison.min_change_db and same else ''}"
    )


def matching_words(comparison: Comparison) -> Iterator[str]:
    """Fused blocks, and renamed, missing and new layers; nothing where all names are the same."""
    fused = [layer for layer in comparison.layers if layer.matched_by == "fused block"]
    if fused:
        noun = "block of parallel branches is" if len(fused) == 1 else "blocks of parallel branches are"
        first = f"{fused[0].name_before} → {fused[0].name}"
        words = "one convolution in the other network, and compared with it"
        yield f"{len(fused)} {noun} {words}{_doubt(fused)}; first {first}"
        yield "a block is judged by its propagated SQNR: the local one is that of its last layer, not of all of it"
    renamed = [layer for layer in comparison.layers if layer.is_renamed and layer.matched_by != "fused block"]
    if renamed:
        first = f"{renamed[0].name_before} → {renamed[0].name}"
        yield f"{count_noun(len(renamed), 'layer')} renamed, matched by shape and place{_doubt(renamed)}; first {first}"
    for lone, words in ((comparison.missing, "gone"), (comparison.new, "new")):
        inner = [layer.name for layer in lone if layer.block is not None]
        others = [layer.name for layer in lone if layer.block is None]
        if inner:
            verb = "lies" if len(inner) == 1 else "lie"
            yield f"{count_noun(len(inner), 'layer')} {words} that {verb} inside these blocks: {_names(inner)}"
        if others:
            yield f"{count_noun(len(others), 'layer')} {words}: {_names(others)}"


def _doubt(layers: Sequence[LayerChange]) -> str:
    """`, 3 likely (~), 1 guessed (?)`; nothing where all are certain."""
    guesses = sum(layer.certainty == "guess" for layer in layers)
    likely = sum(layer.certainty == "likely" for layer in layers)
    if likely == len(layers):
        return ", likely (~)"
    parts = [f"{likely} likely (~)"] * (likely > 0) + [f"{guesses} guessed (?)"] * (guesses > 0)
    return "".join(f", {part}" for part in parts)


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


def row_words(row: tuple[str, str, str, str]) -> str:
    """A row of a table of figures as a sentence: `drop: 67.4 pp before, 1.6 pp after; change -65.8 pp.`"""
    name, before, after, change = row
    return f"{name}: {before} before, {after} after{f'; change {change}' if change else ''}."


def cause_words(cause: CauseChange) -> str:
    """`QD301 dead BatchNorm channels set the weight range (dw0): gone; verdict before: cause; ...`"""
    verdicts = (("before", cause.verdict_before), ("after", cause.verdict_after))
    parts = [CAUSE_STATUS_WORDS[cause.status]]
    parts += [f"verdict {when}: {VERDICT_WORDS[verdict]}" for when, verdict in verdicts if verdict]
    recovers = zip(("before", "after"), given_back(cause), strict=True)
    parts += [f"its repair recovers, {when}: {amount}" for when, amount in recovers if amount]
    where = layers_named(cause.layers_after or cause.layers_before)
    return f"{cause.code} {cause_title(cause.code)} ({where}): {'; '.join(parts)}."


def layer_words(layer: LayerChange) -> str:
    """`dw0: worse (local); local SQNR 30.1 dB before, 12.0 dB after; propagated SQNR ...`"""
    local = f"local SQNR {decibel_words(layer.local_before_db)} before, {decibel_words(layer.local_after_db)} after"
    both = decibel_words(layer.propagated_before_db), decibel_words(layer.propagated_after_db)
    was = f" (before: {layer.name_before})" if layer.is_renamed else ""
    head = f"{layer_named(layer.name)}{was}: {layer_verdict(layer)}; {local}"
    return f"{head}; propagated SQNR {both[0]} before, {both[1]} after."


def given_back(cause: CauseChange) -> tuple[str, str]:
    """What its best repair recovers, before and after, of the task or else in dB; empty where it is not there."""
    before = _back(cause.criterion_before, cause.recovered_before, cause.recovered_before_db)
    after = _back(cause.criterion_after, cause.recovered_after, cause.recovered_after_db)
    return before, after


def signed(value: float, decimals: int = 1) -> str:
    """`+3.2`, `-0.4`, `0.0`; `-` for NaN."""
    if math.isnan(value):
        return "-"
    text = number(value, decimals)
    return f"+{text}" if value > 0.0 and text.strip("0.") else text


def decibels(value: float) -> str:
    """One decimal; `-` for NaN."""
    return "-" if math.isnan(value) else number(value)


def _cells(criterion: Criterion, change: ValueChange) -> tuple[str, str, str]:
    values = [value_words(criterion, value) for value in (change.before, change.after)]
    return values[0], values[1], change_words(criterion, change)


def _plain(before: float, after: float) -> tuple[str, str, str]:
    values = [value_words(None, value) for value in (before, after)]
    return values[0], values[1], _signed_amount(None, difference(before, after))


def _signed_amount(criterion: Criterion | None, change: float) -> str:
    """`+65.8 pp`; in words where it is not known."""
    unit = criterion.change_unit if criterion is not None else "dB"
    return UNKNOWN if math.isnan(change) else f"{_signed_digits(criterion, change)} {unit}".rstrip()


def _signed_digits(criterion: Criterion | None, change: float) -> str:
    text = digits(criterion, change)
    return f"+{text}" if change > 0.0 and text.strip("0.") else text


def _back(criterion: Criterion | None, recovered: float, db: float) -> str:
    if not math.isnan(recovered):
        return _signed_amount(criterion, recovered)
    return "" if math.isnan(db) else _signed_amount(None, db)


def _names(names: Sequence[str]) -> str:
    return listed([" ".join(name.split()) for name in names])  # a line break in a name would break the table
