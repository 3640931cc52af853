"""Markdown that reads the same on GitHub and in an editor: names, tables, pictures, folds."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from qdiag.core.listed import listed
from qdiag.core.printable import printable
from qdiag.reading.words.commands.in_python import is_call
from qdiag.reading.words.commands.shell import wrapped
from qdiag.reading.words.layers import shorten

_COLUMNS = 100
"""Of a command in a report."""


@dataclass(frozen=True, slots=True)
class PictureLink:
    """A picture beside the report.

    Attributes:
        section: see `qdiag.writers.plots.pictures.Picture`. path: relative to the report.
        layer: None for pictures of the whole network.
    """

    section: str
    alt: str
    path: str
    layer: str | None = None


def text(words: str) -> str:
    """A sentence, with what Markdown or HTML would take for markup made harmless, and nothing more than that."""
    one_line = printable(" ".join(words.split())).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|~$]|(?<![A-Za-z0-9])[_@#]|_(?![A-Za-z0-9]))", r"\\\1", one_line)


def code(name: str, width: int = 60) -> str:
    """A name as inline code, long ones shortened in the middle; a bar would end a table cell even there."""
    words = shorten(name, width).replace("|", "¦")
    if not words:
        return "(no name)"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", words)), default=0))
    pad = " " if words.startswith("`") or words.endswith("`") else ""
    return f"{fence}{pad}{words}{pad}{fence}"


def codes(names: Sequence[str], shown: int = 3) -> str:
    """The first few names as code, and how many more there are."""
    return listed([code(name, 40) for name in names], shown)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns whose name ends in ` #` are aligned to the right. Empty without rows."""
    lines = [f"| {' | '.join(cell or ' ' for cell in row)} |" for row in rows]
    if not lines:
        return ""
    names = [name.removesuffix(" #") for name in header]
    rules = ["---:" if name.endswith(" #") else "---" for name in header]
    return "\n".join([f"| {' | '.join(names)} |", f"|{'|'.join(rules)}|", *lines])


def shell(lines: Sequence[str]) -> str:
    """Commands to be copied, wrapped as a shell goes on; or calls in Python."""
    if any(map(is_call, lines)):
        return fenced(lines, "python")
    return fenced([part for line in lines for part in wrapped(printable(line), _COLUMNS).split("\n")], "sh")


def fenced(lines: Sequence[str], language: str = "") -> str:
    """Lines as they are, between fences longer than any run of backticks in them."""
    body = "\n".join(printable(line) for line in lines)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", body)), default=0))
    return f"{fence}{language}\n{body}\n{fence}"


def picture(link: PictureLink) -> str:
    """An image by its relative path."""
    return f"![{text(link.alt)}]({quote(link.path)})"


def pictures_of(links: Sequence[PictureLink], *sections: str) -> list[str]:
    """Pictures of the whole network that belong to these sections."""
    return [picture(link) for link in links if link.section in sections and link.layer is None]


def fold(summary: str, blocks: Sequence[str]) -> str:
    """Blocks that open on a click; an editor shows them as they are."""
    return "\n\n".join([f"<details>\n<summary>{summary}</summary>", *blocks, "</details>"])


def section(heading: str, *blocks: str) -> str:
    """A heading and what is below it; nothing at all when every block is empty."""
    filled = [block for block in blocks if block]
    return "\n\n".join([f"## {heading}", *filled]) if filled else ""
