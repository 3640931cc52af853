"""What `qdiag sensitivity` prints: one row per layer, the one that costs most first."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from qdiag.cli.tables.fit import Column, fit_table, more_words
from qdiag.cli.tables.sqnr_header import data_lines, header_grid, judged_lines, model_lines, size_lines
from qdiag.core.causes.score import Score
from qdiag.core.measures.sensitivity import Sensitivity, SensitivityRow
from qdiag.core.measures.task import Criterion
from qdiag.reading.words.numbers import UNKNOWN, number, significant
from qdiag.reading.words.task.figures import digits, level, noun, score_words

_UNMEASURED = "the layer was not measured in this way"
_UNKNOWN_SQNR = "An SQNR is not known where the output of the quantized network is not finite."
_PART_WORDS = {"both": "weights and activations", "weights": "weights", "activations": "activations"}


def print_sensitivity(console: Console, sensitivity: Sensitivity, top: int | None) -> None:
    """Header and table on `console`."""
    judged = sensitivity.quantized.task.judged
    criterion = judged.criterion if judged is not None else None
    header = [
        *model_lines(sensitivity.model),
        (
            "scheme",
            Text(f"{sensitivity.scheme.name}; switched on and off: {_PART_WORDS[sensitivity.part]}", style="bold"),
        ),
        *size_lines(sensitivity.size),
        *data_lines(sensitivity.data),
        (
            "result",
            Text(f"with all layers quantized: {score_words(sensitivity.quantized, criterion, names_sqnr=True)}"),
        ),
    ]
    header += judged_lines(sensitivity.quantized.task)
    if not math.isnan(sensitivity.fisher_rank_correlation):
        words = f"has a rank correlation of {sensitivity.fisher_rank_correlation:.2f} with what was measured"
        header.append(("estimate", Text(f"from one backward pass (Fisher); it {words} of each layer alone")))
    header += [("note", Text(note)) for note in sensitivity.notes]
    console.print(header_grid(*header))
    console.print()
    legend = _legend(sensitivity)
    if legend:
        console.print(Text(legend, style="dim"))
        console.print()
    rows = ordered(sensitivity)
    shown = rows[:top] if top else rows
    columns = _columns(sensitivity, criterion)
    console.print(fit_table(console, Column("layer", lambda row: Text(row.layer)), columns, shown))
    if any(math.isnan(score.output_sqnr_db) for row in shown for score in (row.alone, row.all_but) if score):
        console.print(Text(_UNKNOWN_SQNR, style="dim"))
    if len(shown) < len(rows):
        console.print(Text(more_words(len(shown), len(rows)), style="dim"))


def _legend(sensitivity: Sensitivity) -> str:
    """What the two ways of measuring a layer are, as far as there are columns of them."""
    parts = ["alone: with this layer alone quantized"] * any(row.alone for row in sensitivity.rows)
    parts += ["without it: with all layers but this one quantized"] * any(row.all_but for row in sensitivity.rows)
    return "   ".join(parts)


def ordered(sensitivity: Sensitivity) -> Sequence[SensitivityRow]:
    """By the SQNR of the weakest output of each layer alone; by the estimate where nothing else was measured."""
    exact = sensitivity.most_sensitive
    if exact:
        return exact
    return sorted(sensitivity.rows, key=lambda row: -math.inf if math.isnan(row.fisher) else row.fisher, reverse=True)


def _columns(sensitivity: Sensitivity, criterion: Criterion | None) -> list[Column[SensitivityRow]]:
    found: list[Column[SensitivityRow]] = []
    title = f"{noun(criterion)} {criterion.unit}".rstrip() if criterion is not None else ""
    if any(row.alone for row in sensitivity.rows):
        found.append(Column("alone\nSQNR dB", lambda row: _decibels(row.alone), 95, dash=_UNMEASURED))
        if criterion is not None:
            found.append(Column(f"alone\n{title}", lambda row: _value(row.alone, criterion), 94, dash=_UNMEASURED))
    if any(row.all_but for row in sensitivity.rows):
        found.append(Column("without it\nSQNR dB", lambda row: _decibels(row.all_but), 80, dash=_UNMEASURED))
        if criterion is not None:
            found.append(
                Column(f"without it\n{title}", lambda row: _value(row.all_but, criterion), 81, dash=_UNMEASURED)
            )
    if any(not math.isnan(row.fisher) for row in sensitivity.rows):
        found.append(
            Column("estimate\nFisher", lambda row: Text(_estimate(row.fisher)), 60, dash="the layer has no estimate")
        )
    return found


def _decibels(score: Score | None) -> Text:
    return Text(number(score.output_sqnr_db) if score is not None else "-")


def _value(score: Score | None, criterion: Criterion) -> Text:
    if score is None:
        return Text("-")
    value = level(score, criterion)
    return Text(UNKNOWN if math.isnan(value) else digits(criterion, value))


def _estimate(value: float) -> str:
    return "-" if math.isnan(value) else significant(value)
