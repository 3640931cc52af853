"""`qdiag cache`: what is kept of finished passes."""

from typing import Annotated, Literal

import typer

from qdiag.cli.console import stdout_console
from qdiag.cli.options.common import DebugOption
from qdiag.files.cache_folder import FolderCache, cache_folder, cache_limit
from qdiag.reading.words.numbers import count_noun

CACHE_EPILOG = """
[bold]Examples[/]

Where it is, and how large:  [cyan]qdiag cache info[/]

Empty it:  [cyan]qdiag cache clear[/]

[bold]Environment[/]

QDIAG_CACHE_DIR the folder;  QDIAG_CACHE_MB its limit, 1024 unless set.
"""


ActionArgument = Annotated[
    Literal["info", "clear"], typer.Argument(metavar="info|clear", help="Show what the cache holds, or empty it.")
]


def cache(action: ActionArgument = "info", debug: DebugOption = False) -> None:
    """Show or empty the cache of finished passes.

    [cyan]qdiag diagnose[/], [cyan]rank[/] and [cyan]sensitivity[/] keep each finished pass over the data,
    so that a run that was stopped goes on where it was. Files that qdiag did not write are never deleted.
    """
    del debug  # read by main()
    found = FolderCache(cache_folder(), cache_limit())
    use = found.clear() if action == "clear" else found.use()
    console = stdout_console()
    amount = f"{count_noun(use.pass_count, 'finished pass')}, {use.used_bytes / 1e6:.1f} MB"
    if action == "clear":
        lines = [f"{amount} {'was' if use.pass_count == 1 else 'were'} deleted from {found.folder}"]
        if use.foreign_count:
            are = "file that qdiag did not write is" if use.foreign_count == 1 else "files that qdiag did not write are"
            lines.append(f"{use.foreign_count} {are} left there")
    else:
        lines = [f"{found.folder} holds {amount} of at most {cache_limit() / 1e6:.0f} MB"]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
