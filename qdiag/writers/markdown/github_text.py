"""Text that stays text inside Markdown and HTML as GitHub renders them."""

import re

from qdiag.core.printable import printable

_LINE_BREAKS = re.compile(r"[\r\n\t]+")
_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#@!])")


def plain(text: str) -> str:
    """Every character that means something gets a backslash: table cells, links, mentions, pictures, tags."""
    return _SPECIAL.sub(r"\\\1", printable(_LINE_BREAKS.sub(" ", text)).replace("&", "&amp;"))


def code(text: str) -> str:
    """As inline code, whatever it holds; a bar would still end a table cell."""
    clean = printable(_LINE_BREAKS.sub(" ", text)).replace("|", "¦").strip()
    if not clean:
        return ""
    longest = max((len(run) for run in re.findall("`+", clean)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if clean[0] == "`" or clean[-1] == "`" else ""
    return f"{fence}{pad}{clean}{pad}{fence}"


def within(text: str, at_most: int, ending: str) -> str:
    """The text in at most so many bytes of UTF-8, cut at a line, with `ending` where something was cut."""
    if len(text.encode()) <= at_most:
        return text
    room = at_most - len(ending.encode()) - 1
    kept, size = [], 0
    for line in text.splitlines():
        size += len(line.encode()) + 1
        if size > room:
            break
        kept.append(line)
    return "\n".join([*kept, ending])
