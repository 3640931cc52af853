"""`qdiag view`: open a report that was written."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from qdiag.cli.console import remark, stdout_console
from qdiag.cli.options.common import DebugOption, QuietOption
from qdiag.cli.options.roles import Reads, result_files
from qdiag.errors import ConfigError, LoadError
from qdiag.reading.words.commands.shell import as_argument, command_line

VIEW_EPILOG = """
[bold]Examples[/]

[cyan]qdiag view reports/run1[/]

[bold]Exit codes[/]

0 The report was opened;  2 There is no report, or no browser was found; the path is printed all the same.
"""
_PAGE = "report.html"
_OF_REPORTS = (".html", ".json", ".md", ".csv", ".png", ".svg", ".toml")
"""How files end that stand in the folder of a report."""

FolderArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", show_default=False, help="The folder that `qdiag diagnose -o` or `qdiag report -o` wrote."
    ),
    Reads(result_files),
]


def view(diagnosis: FolderArgument, quiet: QuietOption = False, debug: DebugOption = False) -> None:
    """Open a report in the browser.

    The report is one file, report.html, which loads nothing from elsewhere. Its path is printed on stdout.
    """
    del debug  # read by main()
    page = _page_of(diagnosis)
    stdout_console().print(str(page), markup=False, highlight=False, soft_wrap=True)
    if not webbrowser.open(page.resolve().as_uri()):
        raise ConfigError("no browser was found", at=str(page), hint="open this file in a browser of yours")
    remark("The report is open in the browser.", quiet=quiet)


def _page_of(given: Path) -> Path:
    """The report of a folder, or of one of its files.

    Raises:
        LoadError: there is none; says how to draw it.
    """
    if given.is_file() and given.suffix not in _OF_REPORTS:
        raise LoadError(
            "this is no file of a report",
            at=str(given),
            hint="name the folder of a report; `qdiag diagnose MODEL --data PATH -o DIR` writes one",
        )
    folder = given if given.is_dir() else given.parent
    page = given if given.name == _PAGE else folder / _PAGE
    if page.is_file():
        return page
    if not given.exists():
        raise LoadError("there is no such folder", at=str(given), hint="name the folder of a report")
    if not (folder / "diagnosis.json").is_file():
        raise LoadError(
            f"there is neither {_PAGE} nor diagnosis.json in this folder",
            at=str(folder),
            hint="name the folder of a report; `qdiag diagnose MODEL --data PATH -o DIR` writes one",
        )
    name = as_argument(str(folder))
    draw = command_line(["report", name, "-o", name, "--format", "html"])
    raise LoadError(f"there is no {_PAGE} in this folder", at=str(folder), hint=f"draw it first: {draw}")
