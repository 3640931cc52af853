"""`qdiag explain`: what does a code mean?"""

import re
from collections.abc import Iterator
from inspect import cleandoc
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from qdiag.cli.console import stdout_console
from qdiag.core.causes.codes import CODES, Code
from qdiag.core.causes.near_codes import codes_hint
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.detectors import DETECTORS, Detector
from qdiag.errors import ConfigError

EXPLAIN_EPILOG = """
[bold]Examples[/]

All codes:  [cyan]qdiag explain[/]

One page, by its code or by its name:  [cyan]qdiag explain QD301[/]

Codes by a word of their title or page:  [cyan]qdiag explain dead[/]
"""

_WIDTH = 100
"""Columns of a page at most: longer lines are hard to read."""
_ONE_PAGE = "qdiag explain CODE prints the page of one code."
_TAKEN_IN = (
    "Where this finding is reported in place of others at the same layers, their repairs are tried too, and where "
    "another one is reported in place of it, its repairs are tried there."
)
_WORDS = re.compile(r"(?!(?i:qd\d))[A-Za-z0-9_-]{3,}( [A-Za-z0-9_-]{3,})*")
"""What is looked for in pages: words of three letters at least, and no code."""
_ENTRY = re.compile(r"^(\w+(?: \[[^\]]*\])?): (.*)$", re.DOTALL)

CodeArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[CODE]",
        show_default=False,
        help="A code such as QD301, its name, or words to look for. Without it, all codes are listed.",
    ),
]


def explain(code: CodeArgument = None) -> None:
    """Explain a finding: what it is, how it is computed, what helps.

    A finding is what was seen; it is no verdict. Whether it costs accuracy is measured by repairing it.

    The page also has the thresholds and where they come from.
    """
    console = stdout_console()
    console.width = min(console.width, _WIDTH)
    if code is None:
        _print_list(console)
    else:
        _print_found(console, code)


def find_code(text: str) -> Code:
    """The code of that name, in either case, or of that slug.

    Raises:
        ConfigError: there is none; names those that are near.
    """
    wanted = text.strip().lower().replace("-", "_")
    names = {name.lower(): code for code in CODES for name in (code.code, code.code[2:], code.slug)}
    if wanted in names:
        return names[wanted]
    raise ConfigError(f"no finding is called {text!r}", at="CODE", hint=codes_hint(text))


def search(text: str) -> tuple[list[Code], list[Code]]:
    """Codes by words: those whose title or name has all of them, and the others whose page has.

    A word also finds longer ones that begin with it: `channel` finds `channels`. Pages that have the words side by side
    come first.
    """
    given = re.findall(r"[a-z0-9]+", text.lower())
    words = [re.compile(rf"\b{word}") for word in given]
    phrase = re.compile(r"\b" + r"\W+".join(given))
    titles: list[Code] = []
    pages: list[tuple[bool, Code]] = []
    for code in CODES if words else ():
        title = f"{code.slug} {code.title}".lower().replace("_", " ")
        page = " ".join([title, page_of(code).lower(), *_detector(code).REPAIRS]).replace("_", " ")
        if all(word.search(title) for word in words):
            titles.append(code)
        elif all(word.search(page) for word in words):
            pages.append((phrase.search(page) is None, code))
    return titles, [code for _, code in sorted(pages, key=lambda found: found[0])]


def page_of(code: Code) -> str:
    """The docstring of the code's detector, margin removed."""
    return cleandoc(_detector(code).__doc__ or "")


def _detector(code: Code) -> Detector:
    return next(detector for detector in DETECTORS if code.code == detector.CODE)


def _print_found(console: Console, text: str) -> None:
    try:
        code = find_code(text)
    except ConfigError:
        titles, pages = search(text) if _WORDS.fullmatch(text.strip()) else ([], [])
        if not titles and not pages:
            raise
    else:
        _print_page(console, code)
        return
    for heading, found in (("Titles with", titles), ("Pages with", pages)):
        if found:
            table = _table()
            for one in found:
                _add_row(table, one)
            console.print(Text(f"{heading} {text.strip()!r}", style="bold"))
            console.print(table)
            console.print()
    console.print(_ONE_PAGE, style="dim")


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), show_header=False)


def _add_row(table: Table, code: Code) -> None:
    table.add_row(Text(f"  {code.code}", style="cyan"), code.title, Text(code.slug, style="dim"))


def _print_list(console: Console) -> None:
    table = _table()
    family = ""
    for code in CODES:
        if code.family != family:
            family = code.family
            table.add_row(Text(family, style="bold"))
        _add_row(table, code)
    console.print(table)
    console.print()
    console.print(_ONE_PAGE, style="dim")


def _print_page(console: Console, code: Code) -> None:
    console.print(Text.assemble((code.code, "bold cyan"), "  ", (code.slug, "bold")))
    for paragraph in page_of(code).split("\n\n"):
        console.print()
        for part in _parts(paragraph):
            console.print(part)
    console.print()
    console.print(Text("Repairs that test it:", style="bold"))
    repairs = [TRAITS[name] for name in _detector(code).REPAIRS]
    grid = Table.grid(padding=(0, 2))
    for repair in repairs:
        how = "keeps the scheme" if repair.keeps_scheme else "changes the scheme"
        grid.add_row(Text(repair.name, style="cyan"), repair.title, Text(how, style="dim"))
    console.print(Padding(grid if repairs else Text("none"), (0, 0, 0, 4)))
    console.print()
    console.print(Text(_TAKEN_IN, style="dim"))


def _parts(paragraph: str) -> Iterator[RenderableType]:
    """Headings, running text, and entries `name [unit]: text` with their text in a column of its own."""
    lines = paragraph.split("\n")
    if not lines[0].startswith(" ") and lines[0].endswith(":"):
        yield Text(lines.pop(0), style="bold")
    joined: list[str] = []
    for line in lines:
        is_new = not joined or _ENTRY.match(line.strip()) is not None
        if is_new and not line.startswith(" " * 8):
            joined.append(line.strip())
        else:
            joined[-1] += f" {line.strip()}"
    indent = 4 if lines and lines[0].startswith(" ") else 0
    entries = [_ENTRY.match(text) for text in joined]
    if joined and all(entries):
        grid = Table.grid(padding=(0, 2))
        for match in entries:
            if match is not None:
                grid.add_row(Text(match[1], style="cyan", no_wrap=True), Text(match[2]))
        yield Padding(grid, (0, 0, 0, indent))
    elif joined:
        yield Padding(Text(" ".join(joined)), (0, 0, 0, indent))
