"""The table of `qdiag gate`: one row per threshold, then what to do about it."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from qdiag.cli.console import breaks_lines
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.core.gate import GateCheck, GateResult, GateStatus
from qdiag.reading.words.commands.shell import as_told, wrapped
from qdiag.reading.words.gate import (
    STATUS_WORDS,
    bounds_words,
    change_words,
    check_title,
    detail_lines,
    figure_words,
    harm_line,
    limit_words,
    named_cause_words,
    shown_checks,
    verdict_words,
)
from qdiag.reading.words.numbers import count_noun
from qdiag.reading.words.size import size_words

_WORD = 13
"""Columns of the word that a line begins with."""
STYLES: dict[GateStatus, str] = {
    "pass": "green",
    "warn": "yellow",
    "undecided": "yellow",
    "cannot_judge": "bold magenta",
    "fail": "bold red",
}


def print_gate(console: Console, result: GateResult) -> None:
    """Table, details, causes, notes, and the verdict as the last line."""
    checks, rest = shown_checks(result)
    console.print(Text(_head(result)), soft_wrap=not breaks_lines(console))
    if result.size is not None:
        _say(console, "size", "; ".join(size_words(result.size)), "dim")
    console.print()
    console.print(fit_table(console, *_columns(checks), checks))
    if rest:
        console.print(Text(rest, style="dim"))
    console.print()
    for status, words in detail_lines(checks):
        _say(console, STATUS_WORDS[status], words, STYLES[status])
    for cause in result.causes:
        _say(console, "cause", named_cause_words(cause), "bold")
    for command in result.commands:
        _print_command(console, as_told(command))
    if harm_line(result):
        _say(console, "network", harm_line(result), "bold yellow" if result.is_harm_overlooked else "dim")
    for note in result.notes:
        _say(console, "note", note, "dim")
    console.print(Text(verdict_words(result), style=STYLES[result.status]))


def _say(console: Console, word: str, text: str, style: str) -> None:
    """In a terminal what goes on stands below what it says; a log has one line for each, which can be searched.

    A log that was given a width with COLUMNS is broken as a terminal is.
    """
    if not breaks_lines(console):
        console.print(Text.assemble((f"{word:{_WORD}}", style), text), soft_wrap=True)
        return
    grid = Table.grid()
    grid.add_column(width=_WORD, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(word, style), Text(text))
    console.print(grid)


def _print_command(console: Console, command: str) -> None:
    """To be copied, and for that wrapped in a terminal as a shell goes on."""
    lines = wrapped(command, console.width - _WORD).splitlines() if breaks_lines(console) else [command]
    for i, line in enumerate(lines):
        console.print(Text.assemble((f"{'' if i else 'repair':{_WORD}}", "bold"), line), soft_wrap=True)


def _head(result: GateResult) -> str:
    parts = [result.source]
    if result.model is not None and result.model.source != result.source:
        parts.append(result.model.source)
    if result.scheme:
        parts.append(result.scheme)
    if result.data is not None:
        parts.append(f"{count_noun(result.data.measured_count, 'sample')} of {result.data.source}")
    return ": ".join([parts[0], ", ".join(parts[1:])]) if parts[1:] else parts[0]


def _columns(checks: tuple[GateCheck, ...]) -> tuple[Column[GateCheck], list[Column[GateCheck]]]:
    columns = [
        Column[GateCheck]("now", lambda check: Text(figure_words(check, check.value)), 99),
        Column[GateCheck]("95 %", lambda check: Text(bounds_words(check)), 50),
        Column[GateCheck]("limit", lambda check: Text(limit_words(check)), 98),
        Column[GateCheck]("status", lambda c: Text(STATUS_WORDS[c.status], STYLES[c.status]), 100, is_left=True),
    ]
    if any(change_words(check) for check in checks):
        columns[2:2] = [
            Column[GateCheck]("baseline", lambda check: Text(figure_words(check, check.baseline)), 60),
            Column[GateCheck]("change", lambda check: Text(change_words(check)), 70),
        ]
    return Column("check", lambda check: Text(check_title(check))), columns
