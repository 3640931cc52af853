"""`qdiag cache`: what is kept of finished passes."""

from typing import Annotated, Literal

import typer

from qdiag.cli.console import stdout_console
from qdiag.cli.options.common import DebugOption
from qdiag.files.cache_folder import FolderCache, cache_folder, cache_limit

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
    amount = f"{use.pass_count} finished passes, {use.used_bytes / 1e6:.1f} MB"
    if action == "clear":
        lines = [f"deleted from {found.folder}: {amount}"]
        if use.foreign_count:
            lines.append(f"left there: {use.foreign_count} files that are not ours")
    else:
        lines = [str(found.folder), f"{amount} of at most {cache_limit() / 1e6:.0f} MB"]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
