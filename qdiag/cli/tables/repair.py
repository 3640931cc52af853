"""What `qdiag repair` prints: the proof above, one row per repair below, and the reasons of refusals."""

import math
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from qdiag.cli.console import print_flowing
from qdiag.cli.parameters import as_options
from qdiag.cli.tables.batchnorm_rows import print_batchnorms
from qdiag.cli.tables.change_lines import float_change_lines, harmless_words, quantized_lines
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import Lines, data_lines, header_grid, model_lines, size_lines
from qdiag.core.causes.repair import ModelRepair, RepairStep
from qdiag.core.causes.repair_traits import repair_title
from qdiag.core.listed import listed
from qdiag.reading.words.layers import shorten
from qdiag.reading.words.numbers import UNKNOWN

_NAMES_WIDTH = 40
"""Columns for the layers of a repair: all of them are in the JSON."""


def print_repair(console: Console, repair: ModelRepair) -> None:
    """Header, table and reasons on `console`."""
    print_head(console, repair, [("layers", Text(", ".join(repair.layers)))] if repair.layers else [])
    console.print()
    console.print(fit_table(console, Column("repair", lambda row: Text(row.repair)), _COLUMNS, repair.steps))
    console.print()
    for step in repair.steps:
        if step.refused is not None:
            refused = Text.assemble((f"{step.repair} was refused: ", "yellow"), as_options(step.refused))
            print_flowing(console, refused)
    if repair.batchnorms:
        print_batchnorms(console, repair)
    print_end(console, repair, _last_line(repair))


def print_head(console: Console, repair: ModelRepair, lines: Iterable[tuple[str, Text]]) -> None:
    """The model, lines of one's own, the data, and the proof."""
    console.print(header_grid(*model_lines(repair.model), *lines, *_proof(repair)))


def print_end(console: Console, repair: ModelRepair, last_line: str) -> None:
    """Whether anything was lost to begin with, and what became of it all."""
    judged = repair.before.task.judged if repair.before is not None else None
    if judged is not None and not judged.criterion.is_against_float:
        harmless = harmless_words(judged)
        if harmless:
            print_flowing(console, Text(harmless))
    print_flowing(console, Text(last_line))


def _proof(repair: ModelRepair) -> Lines:
    for note in repair.notes:
        yield "note", Text(as_options(note))
    yield from size_lines(repair.size)
    if repair.size is None and repair.before is None:
        yield "size", Text(f"{UNKNOWN}: the network was not run")
    if repair.before is not None:
        yield from data_lines(repair.before.data)
    if repair.float_change is not None:
        yield from float_change_lines(repair.float_change, repair.float_bound)
    if repair.before is not None and repair.after is not None:
        yield from quantized_lines(repair.before, repair.after, repair.float_change)
    if repair.unproved is not None and repair.batchnorms:
        yield "proof", Text(f"none: {repair.unproved}", style="bold yellow")


def _moved(step: RepairStep) -> Text:
    return Text("-" if math.isnan(step.relative_delta) else f"{step.relative_delta:.1e}")


def _headroom(step: RepairStep) -> Text:
    return Text("-" if step.headroom is None else f"{step.headroom:g} x")


def _layers(step: RepairStep) -> Text:
    return Text(shorten(listed(step.layers, 1), _NAMES_WIDTH) or "-", "dim")


_COLUMNS: list[Column[RepairStep]] = [
    Column("", lambda s: Text("made", "green") if s.refused is None else Text("refused", "yellow"), 100, is_left=True),
    Column("what it does", lambda step: Text(repair_title(step.repair)), 30, is_left=True),
    Column("tensors\nchanged", lambda step: Text(str(len(step.tensors))), 80),
    Column(
        "float output change\nover largest value", _moved, 90, dash="the repair was refused, or the network was not run"
    ),
    Column("values may grow\nbefore a bound", _headroom, 50, dash="no bound limits the values"),
    Column("layers", _layers, 60, is_left=True, dash="no layer was changed"),
]


def _last_line(repair: ModelRepair) -> str:
    if not repair.made:
        return "No repair was made, so nothing is written."
    names = ", ".join(step.repair for step in repair.made)
    end = f"is written to {repair.written_to}" if repair.written_to else "is not written"
    return f"The repaired network ({names}) {end}."
