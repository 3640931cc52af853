"""`qdiag explain`: what does a code mean?"""

import difflib
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
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.detectors import DETECTORS, Detector
from qdiag.errors import ConfigError

EXPLAIN_EPILOG = """
[bold]Examples[/]

All codes:  [cyan]qdiag explain[/]

One page, by its code or by its name:  [cyan]qdiag explain QD301[/]
"""

_WIDTH = 100
"""Columns of a page at most: longer lines are hard to read."""
_TAKEN_IN = (
    "Where this finding is reported in place of others at the same layers, their repairs are tried too, and where "
    "another one is reported in place of it, its repairs are tried there."
)
_ENTRY = re.compile(r"^(\w+(?: \[[^\]]*\])?): (.*)$", re.DOTALL)

CodeArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[CODE]",
        show_default=False,
        help="A code such as QD301, or its name. Without it, all codes are listed.",
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
        _print_page(console, find_code(code))


def find_code(text: str) -> Code:
    """The code of that name, in either case, or of that slug.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    wanted = text.strip().lower().replace("-", "_")
    names = {name.lower(): code for code in CODES for name in (code.code, code.slug)}
    if wanted in names:
        return names[wanted]
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
    guess = f"did you mean {names[near[0]].code} ({names[near[0]].slug})? " if near else ""
    raise ConfigError(f"no finding is called {text!r}", at="CODE", hint=f"{guess}qdiag explain lists all of them")


def page_of(code: Code) -> str:
    """The docstring of the code's detector, margin removed."""
    return cleandoc(_detector(code).__doc__ or "")


def _detector(code: Code) -> Detector:
    return next(detector for detector in DETECTORS if code.code == detector.CODE)


def _print_list(console: Console) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    family = ""
    for code in CODES:
        if code.family != family:
            family = code.family
            table.add_row(Text(family, style="bold"))
        table.add_row(Text(f"  {code.code}", style="cyan"), code.title, Text(code.slug, style="dim"))
    console.print(table)
    console.print()
    console.print("qdiag explain CODE prints the page of one code.", style="dim")


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
