"""The tables of `qdiag compare`: task, causes, and the layers that changed."""

import math
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qdiag.cli.tables.fit import Column, fit_table, more_words
from qdiag.cli.tables.sqnr_header import header_grid
from qdiag.core.causes.ranking import Verdict
from qdiag.core.compare import CauseChange, Comparison, LayerChange, RunSummary
from qdiag.core.measures.task_change import Change
from qdiag.reading.words.causes import VERDICT_WORDS, cause_title
from qdiag.reading.words.comparison.sentences import (
    CAUSE_STATUS_WORDS,
    CERTAINTY_MARKS,
    NO_SQNR,
    cause_counts,
    cause_layers,
    comparison_headline,
    decibels,
    given_back,
    layer_counts,
    layer_verdict,
    matching_words,
    pairing_words,
    signed,
    task_rows,
)
from qdiag.reading.words.comparison.settings import setting_words
from qdiag.reading.words.numbers import count_noun
from qdiag.reading.words.size import size_rows

TOP = 25
_DIFFERENCES_SHOWN = 8
_STYLES: dict[Change, str] = {"worse": "bold red", "better": "green", "same": "dim", "unknown": "yellow"}
_CAUSE_STYLES = {"appeared": "bold red", "remains": "yellow", "gone": "green", "suspect": "dim"}


def print_comparison(console: Console, comparison: Comparison, top: int | None) -> None:
    """Header, verdict, task, causes, layers and what they were matched by, on `console`."""
    console.print(header_grid(*_header(comparison)))
    console.print()
    console.print(Text(comparison_headline(comparison), style="bold"))
    console.print()
    _print_task(console, comparison)
    _print_causes(console, comparison)
    _print_layers(console, comparison, TOP if top is None else top)
    for words in (*matching_words(comparison), *comparison.notes):
        console.print(Text(words))


def _header(comparison: Comparison) -> Iterator[tuple[str, Text]]:
    before, after = comparison.before, comparison.after
    yield "before", _run(before)
    yield "after", _run(after)
    if before.data_digest == after.data_digest:
        yield "data", Text(f"{after.data}: {count_noun(after.sample_count, 'sample')}, the same for both")
    for i, reason in enumerate(comparison.forced):
        yield "" if i else "FORCED", Text(reason, style="bold yellow")
    shown = comparison.differences[:_DIFFERENCES_SHOWN]
    for i, difference in enumerate(shown):
        name, *values = setting_words(difference)
        yield "" if i else "differs", Text(f"{name}: {' → '.join(values)}", style="dim")
    if len(comparison.differences) > len(shown):
        yield "", Text(f"and {len(comparison.differences) - len(shown)} more settings (--json has all)", style="dim")


def _run(run: RunSummary) -> Text:
    causes = count_noun(run.cause_count, "cause") if run.cause_count else "no cause"
    return Text(
        f"{run.source}: {run.model} (sha256 of the weights {run.model_digest[:12]}), scheme {run.scheme}, {causes}"
    )


def _print_task(console: Console, comparison: Comparison) -> None:
    rows = [*task_rows(comparison), *size_rows(comparison.before.size, comparison.after.size)]
    if not rows:
        return
    table = _plain_table("", "before", "after", "change")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
    console.print()
    if pairing_words(comparison):
        console.print(Text(pairing_words(comparison), style="dim"))
    console.print()


def _print_causes(console: Console, comparison: Comparison) -> None:
    console.print(Text(cause_counts(comparison), style="bold"))
    claimed = [cause for cause in comparison.causes if cause.status != "suspect"]
    if claimed:
        console.print()
        name = Column[CauseChange]("cause", lambda c: Text(f"{c.code} {cause_title(c.code)}"), wraps=True)
        console.print(fit_table(console, name, _cause_columns(), claimed))
    console.print()


def _cause_columns() -> list[Column[CauseChange]]:
    return [
        Column("", lambda c: Text(CAUSE_STATUS_WORDS[c.status], style=_CAUSE_STYLES[c.status]), 100, is_left=True),
        Column("layers", lambda c: Text(cause_layers(c)), 60, is_left=True),
        Column("before", lambda c: _verdict(c.verdict_before), 40, is_left=True),
        Column("after", lambda c: _verdict(c.verdict_after), 40, is_left=True),
        Column("recovers,\nbefore", lambda c: Text(given_back(c)[0]), 80, title="what the repair recovers, before"),
        Column("recovers,\nafter", lambda c: Text(given_back(c)[1]), 80, title="what the repair recovers, after"),
    ]


def _verdict(verdict: Verdict | None) -> Text:
    """Empty where the finding was not made."""
    return Text(VERDICT_WORDS[verdict] if verdict else "")


def _print_layers(console: Console, comparison: Comparison, top: int) -> None:
    console.print(Text(f"{layer_counts(comparison)}.", style="bold"))
    changed = comparison.changed
    shown = changed[:top] if top else changed
    console.print()
    if not shown:
        return
    console.print(fit_table(console, Column("layer", _layer_name), _layer_columns(shown), shown))
    console.print()
    if len(shown) < len(changed):
        console.print(more_words(len(shown), len(changed), "changed"))


def _layer_columns(rows: Sequence[LayerChange]) -> list[Column[LayerChange]]:
    columns: list[Column[LayerChange]] = [
        Column("local\nbefore", lambda r: Text(decibels(r.local_before_db)), 60, dash=NO_SQNR),
        Column("local\nafter", lambda r: Text(decibels(r.local_after_db)), 70, dash=NO_SQNR),
        Column("local\nchange dB", lambda r: _change(r.local_change_db, r.local), 100, dash=NO_SQNR),
        Column("propagated\nbefore", lambda r: Text(decibels(r.propagated_before_db)), 55, dash=NO_SQNR),
        Column("propagated\nafter", lambda r: Text(decibels(r.propagated_after_db)), 65, dash=NO_SQNR),
        Column("propagated\nchange dB", lambda r: _change(r.propagated_change_db, r.propagated), 95, dash=NO_SQNR),
        Column("verdict", lambda r: Text(layer_verdict(r), style=_STYLES[r.verdict]), 98, is_left=True),
    ]
    if any(row.is_renamed for row in rows):
        was = Column[LayerChange]("was", lambda r: Text(r.name_before if r.is_renamed else "", "dim"), 50, is_left=True)
        columns.insert(0, was)
    return columns


def _layer_name(layer: LayerChange) -> Text:
    return Text(f"{layer.name}{CERTAINTY_MARKS[layer.certainty]}", style=_STYLES[layer.verdict])


def _change(value: float, change: Change) -> Text:
    return Text("-" if math.isnan(value) else signed(value), style=_STYLES[change])


def _plain_table(*headers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for i, header in enumerate(headers):
        table.add_column(header, justify="right" if i else "left", overflow="fold")
    return table
