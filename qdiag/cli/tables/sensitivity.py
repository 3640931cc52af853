"""What `qdiag sensitivity` prints: one row per layer, the one that costs most first."""

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import data_lines, header_grid, model_lines
from qdiag.core.causes.ranking import Score, TaskKind
from qdiag.core.measures.sensitivity import Sensitivity, SensitivityRow
from qdiag.writers.words.causes import score_words
from qdiag.writers.words.numbers import number, significant, task_noun

_PART_WORDS = {"both": "weights and activations", "weights": "weights", "activations": "activations"}


def print_sensitivity(console: Console, sensitivity: Sensitivity, top: int | None) -> None:
    """Header and table on `console`."""
    kind = task_kind(sensitivity.quantized)
    header = [
        *model_lines(sensitivity.model),
        ("scheme", Text(f"{sensitivity.scheme.name}; switched: {_PART_WORDS[sensitivity.part]}", style="bold")),
        *data_lines(sensitivity.data),
        ("all on", Text(score_words(sensitivity.quantized, kind))),
    ]
    if not math.isnan(sensitivity.fisher_rank_correlation):
        words = f"{sensitivity.fisher_rank_correlation:.2f} with the output SQNR of each layer alone"
        header.append(("estimate", Text(f"rank correlation {words}")))
    header += [("note", Text(note)) for note in sensitivity.notes]
    console.print(header_grid(*header))
    console.print()
    rows = ordered(sensitivity)
    shown = rows if top is None else rows[:top]
    columns = _columns(sensitivity, kind)
    console.print(fit_table(console, Column("layer", lambda row: Text(row.layer)), columns, shown))
    if len(shown) < len(rows):
        console.print(Text(f"{len(rows) - len(shown)} more layers; --top N shows more.", style="dim"))


def ordered(sensitivity: Sensitivity) -> Sequence[SensitivityRow]:
    """By output SQNR of each layer alone; by the estimate where nothing else was measured."""
    exact = sensitivity.most_sensitive
    if exact:
        return exact
    return sorted(sensitivity.rows, key=lambda row: -math.inf if math.isnan(row.fisher) else row.fisher, reverse=True)


def task_kind(score: Score) -> TaskKind:
    """What the score counts."""
    if score.task.top1 is not None:
        return "top1"
    return "agreement" if score.task.agreement_count is not None else "none"


def _columns(sensitivity: Sensitivity, kind: TaskKind) -> list[Column[SensitivityRow]]:
    found: list[Column[SensitivityRow]] = []
    noun = task_noun(kind)
    if any(row.alone for row in sensitivity.rows):
        found.append(Column("alone\noutput dB", lambda row: _decibels(row.alone), 95))
        if kind != "none":
            found.append(Column(f"alone\n{noun} %", lambda row: _percent(row.alone), 94))
    if any(row.all_but for row in sensitivity.rows):
        found.append(Column("without it\noutput dB", lambda row: _decibels(row.all_but), 80))
        if kind != "none":
            found.append(Column(f"without it\n{noun} %", lambda row: _percent(row.all_but), 81))
    if any(not math.isnan(row.fisher) for row in sensitivity.rows):
        found.append(Column("estimate\nFisher", lambda row: Text(_estimate(row.fisher)), 60))
    return found


def _decibels(score: Score | None) -> Text:
    return Text(number(score.output_sqnr_db) if score is not None else "-")


def _percent(score: Score | None) -> Text:
    return Text(number(score.task_percent) if score is not None else "-")


def _estimate(value: float) -> str:
    return "-" if math.isnan(value) else significant(value)
