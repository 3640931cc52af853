"""Paragraphs, examples and exit codes as lines of a help screen."""

import re
import shutil
from collections.abc import Iterator

from rich.text import Text

from qdiag.cli.console import stdout_console
from qdiag.cli.help.option_rows import row
from qdiag.cli.help.paragraphs import flowing
from qdiag.cli.quantity import lines_of
from qdiag.reading.words.commands.shell import wrapped

WIDEST = 100
"""Columns: longer lines are hard to read."""
_NARROWEST = 40
_TITLE = re.compile(r"\[bold\](.+)\[/\]")
_EXAMPLE = re.compile(r"(?P<label>[^\[]*?):?\s*\[cyan\](?P<line>qdiag .+?)\[/\]")
_EXIT_CODES, _ITEM = "Exit codes", re.compile(r";\s+(?=\d)")


def rendered(lines: Iterator[Text]) -> str:
    """As one text, with colours where the terminal has them."""
    console = stdout_console()
    with console.capture() as captured:
        for line in lines:
            line.rstrip()
            console.print(line, soft_wrap=True)
    return captured.get().rstrip("\n")


def help_width() -> int:
    """Columns of a line: those of the terminal, or 80 where there is none, and not too many to read."""
    columns = shutil.get_terminal_size((80, 24)).columns
    return max(_NARROWEST, min(columns, WIDEST))


def example_lines(epilog: str) -> Iterator[tuple[str, str]]:
    """Labels and command lines of the examples in an epilog."""
    title = ""
    for part in flowing(epilog).split("\n\n"):
        heading = _TITLE.fullmatch(part.strip())
        title = heading[1] if heading else title
        for found in _EXAMPLE.finditer(part) if title == "Examples" else ():
            yield (found["label"] or "").strip(), found["line"]


def text_lines(text: str, width: int) -> Iterator[Text]:
    """Paragraphs with empty lines between them; a title stands directly above what it is the title of."""
    parts, title = flowing(text).split("\n\n"), ""
    for place, part in enumerate(parts):
        heading = _TITLE.fullmatch(part.strip())
        if place and not _TITLE.fullmatch(parts[place - 1].strip()):
            yield Text()
        if heading:
            title = heading[1]
            yield Text(f"{title}:", style="bold")
            continue
        if title == _EXIT_CODES:
            for item in _ITEM.split(" ".join(part.split())):
                code, _, meaning = item.partition(" ")
                yield from row(Text(code), Text.from_markup(f"{meaning.rstrip('.')}."), len("130"), width)
            continue
        examples = list(_EXAMPLE.finditer(part))
        if not examples or "\n" in part or examples[0].start():
            for line in part.split("\n"):
                yield from wrapped_lines(line, width)
            continue
        for found in examples:
            if found["label"]:
                yield from wrapped_lines(f"{found['label'].strip()}:", width, 2)
            yield from command_lines(found["line"], width, 4 if found["label"] else 2)


def command_lines(line: str, width: int, indent: int) -> Iterator[Text]:
    """A command line, which can be pasted where it takes several lines as well."""
    for part in wrapped(line.replace("\\ ", ""), width - indent).split("\n"):
        yield Text.assemble(" " * indent, (part, "cyan"))


def wrapped_lines(markup: str, width: int, indent: int = 0, *, hanging: int | None = None) -> Iterator[Text]:
    """Lines of one paragraph.

    Args:
        indent: spaces before the first line. hanging: before the others, as many unless given.
    """
    text = Text.from_markup(markup)
    if "  " in text.plain.strip():  # a line of a table
        yield text
        return
    others = indent if hanging is None else hanging
    for place, line in enumerate(lines_of(text, width - max(indent, others))):
        yield Text.assemble(" " * (indent if place == 0 else others), line)
