"""A table that drops its lesser columns on a narrow terminal rather than wrapping their numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qdiag.writers.words import shorten

T = TypeVar("T")


ESSENTIAL = 90
"""Columns from this importance on stay even where names have to be cut short for them."""


@dataclass(frozen=True)
class Column(Generic[T]):
    """One column.

    Attributes:
        header: two lines at most, the unit on the second.
        cell: text of one row.
        importance: the column with the lowest one goes first when space is short.
    """

    header: str
    cell: Callable[[T], Text]
    importance: int = 0
    is_left: bool = False


_SPACE = 3  # two of padding, one that the box puts between columns
_NAME_AT_LEAST = 14


def fit_table(console: Console, name: Column[T], columns: Sequence[Column[T]], rows: Sequence[T]) -> Table:
    """The name column, and as many of the others as fit beside it."""
    names = [name.cell(row) for row in rows]
    widest = max([name_text.cell_len for name_text in names] + [len(name.header)])
    cells = [[column.cell(row) for row in rows] for column in columns]
    widths = [
        max([cell.cell_len for cell in cells[i]] + [len(line) for line in column.header.split("\n")]) + _SPACE
        for i, column in enumerate(columns)
    ]
    kept = set(range(len(columns)))
    for i in sorted(kept, key=lambda i: columns[i].importance):
        name_room = _NAME_AT_LEAST if columns[i].importance >= ESSENTIAL else 2 * _NAME_AT_LEAST
        if sum(widths[k] for k in kept) + min(widest, name_room) + _SPACE <= console.width:
            break
        kept.discard(i)
    room = max(console.width - sum(widths[k] for k in kept), _NAME_AT_LEAST)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    table.add_column(name.header, no_wrap=True)
    for i in sorted(kept):
        table.add_column(columns[i].header, justify="left" if columns[i].is_left else "right", no_wrap=True)
    for r, text in enumerate(names):
        short = Text(shorten(text.plain, room - _SPACE), style=text.style)
        table.add_row(short, *(cells[i][r] for i in sorted(kept)))
    return table
