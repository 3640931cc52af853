"""A table that drops its lesser columns on a narrow terminal rather than wrapping their numbers."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qdiag.cli.console import OwnLines
from qdiag.core.printable import printable
from qdiag.reading.words.layers import shorten

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
        wraps: of the name column: long names go on in a further line; otherwise their middle is left out.
        title: what it is called where it is left out; its header where that says enough.
    """

    header: str
    cell: Callable[[T], Text]
    importance: int = 0
    is_left: bool = False
    wraps: bool = False
    title: str = ""


_SPACE = 3  # two of padding, one that the box puts between columns
_NAME_AT_LEAST = 14
_WRAPPED_AT_LEAST = 35


def fit_table(
    console: Console, name: Column[T], columns: Sequence[Column[T]], rows: Sequence[T], *, elsewhere: str = "--json"
) -> Table:
    """The name column, and as many of the others as fit beside it; a line below names those that did not.

    Args:
        elsewhere: what has the columns that are left out.
    """
    names = [name.cell(row) for row in rows]
    widest = max([name_text.cell_len for name_text in names] + [len(line) for line in name.header.split("\n")])
    cells = [[column.cell(row) for row in rows] for column in columns]
    widths = [
        max([cell.cell_len for cell in cells[i]] + [len(line) for line in column.header.split("\n")]) + _SPACE
        for i, column in enumerate(columns)
    ]
    kept, wanted = set(range(len(columns))), _WRAPPED_AT_LEAST if name.wraps else 2 * _NAME_AT_LEAST
    for i in sorted(kept, key=lambda i: columns[i].importance):
        name_room = _NAME_AT_LEAST if columns[i].importance >= ESSENTIAL else wanted
        if sum(widths[k] for k in kept) + min(widest, name_room) + _SPACE <= console.width:
            break
        kept.discard(i)
    room = max(console.width - sum(widths[k] for k in kept), _NAME_AT_LEAST)
    left_out = [column.title or " ".join(column.header.split()) for i, column in enumerate(columns) if i not in kept]
    needed = sum(widths) + min(widest, wanted) + _SPACE
    table = Table(
        caption=_caption(left_out, needed, elsewhere) if left_out else None,
        caption_style="dim",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1),
    )
    table.add_column(name.header, no_wrap=True)
    for i in sorted(kept):
        table.add_column(columns[i].header, justify="left" if columns[i].is_left else "right", no_wrap=True)
    for r, text in enumerate(names):
        plain = printable(text.plain)
        plain = _wrapped(plain, room - _SPACE) if name.wraps else shorten(plain, room - _SPACE)
        table.add_row(OwnLines(plain, style=text.style), *(cells[i][r] for i in sorted(kept)))
    return table


def _caption(left_out: Sequence[str], needed: int, elsewhere: str) -> str:
    """Which columns are not shown, and what shows them."""
    one = len(left_out) == 1
    columns = f"{'This column is' if one else 'These columns are'} left out because the output is too narrow: "
    them = "it" if one else "them"
    wide = f"A width of {needed} columns (COLUMNS={needed}) shows {them}"
    return f"{columns}{', '.join(left_out)}. {wide}, and so does {elsewhere}."


def _wrapped(text: str, width: int) -> str:
    """Lines of at most `width`, all but the first a little further in than the text itself."""
    indent = len(text) - len(text.lstrip())
    return textwrap.fill(text.strip(), width, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2))
