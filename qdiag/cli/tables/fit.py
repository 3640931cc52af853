"""A table that drops its lesser columns on a narrow terminal rather than wrapping their numbers."""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from qdiag.cli.console import OwnLines
from qdiag.cli.quantity import freed, held_words
from qdiag.core.listed import count_noun
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
        dash: what a dash in it stands for, which is said above the table where one is shown.
    """

    header: str
    cell: Callable[[T], Text]
    importance: int = 0
    is_left: bool = False
    wraps: bool = False
    title: str = ""
    dash: str = "it is not defined"


@dataclass(frozen=True)
class FittedTable:
    """A table, what its dashes stand for above it, and below it the columns that were left out.

    Attributes:
        headers: of the columns that are shown, beside that of the name.
    """

    table: Table
    headers: tuple[str, ...]
    legend: str
    caption: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.legend:
            yield Text(self.legend, style="dim")
            yield Text()
        yield self.table
        if self.caption:
            yield Text(self.caption, style="dim")


_DASH = "-"
_UNITS = ("dB", "%", "bits", "pp")
_SPACE = 3  # two of padding, one that the box puts between columns
_NAME_AT_LEAST = 14
_WRAPPED_AT_LEAST = 35


def fit_table(
    console: Console, name: Column[T], columns: Sequence[Column[T]], rows: Sequence[T], *, elsewhere: str = "--json"
) -> FittedTable:
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
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    table.add_column(name.header, no_wrap=True)
    for i in sorted(kept):
        table.add_column(columns[i].header, justify="left" if columns[i].is_left else "right", no_wrap=True)
    for r, text in enumerate(names):
        plain = printable(text.plain)
        plain = _wrapped(plain, room - _SPACE) if name.wraps else shorten(plain, room - _SPACE)
        table.add_row(OwnLines(plain, style=text.style), *(cells[i][r] for i in sorted(kept)))
    dashed = [columns[i] for i in sorted(kept) if any(cell.plain == _DASH for cell in cells[i])]
    return FittedTable(
        table,
        headers=tuple(columns[i].header for i in sorted(kept)),
        legend=_legend(dashed),
        caption=_caption(left_out, needed, elsewhere) if left_out else "",
    )


def more_words(shown: int, count: int, verb: str = "") -> str:
    """That some layers of a table are not shown, and what shows them.

    Args:
        verb: of several layers, what all of them do.
    """
    rest = count - shown
    ending = "s" if rest == 1 and not verb.endswith("ed") else ""
    that = f" that {verb}{ending}" if verb else ""
    are = "is" if rest == 1 else "are"
    return f"{count_noun(rest, 'more layer')}{that} {are} not shown; --top 0 shows all {count}."


def _legend(dashed: Sequence[Column[T]]) -> str:
    """`A dash under drop means that no measured layer feeds this one.`, and what dashes elsewhere stand for."""
    under: dict[str, list[str]] = {}
    for column in dashed:
        words = (column.title or " ".join(column.header.split())).split()
        name = " ".join(words[:-1] if len(words) > 1 and words[-1] in _UNITS else words)
        under.setdefault(column.dash, []).append(name)
    return " ".join(f"A dash under {_and(names)} means that {words}." for words, names in under.items())


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


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
    first, others = " " * indent, " " * (indent + 2)
    return freed(textwrap.fill(held_words(text.strip()), width, initial_indent=first, subsequent_indent=others))
