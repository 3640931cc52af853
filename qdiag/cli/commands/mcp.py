"""`qdiag mcp`: the commands as tools of an agent."""

from typing import Annotated

import typer

from qdiag.cli.options.common import DebugOption
from qdiag.errors import ConfigError

MCP_EPILOG = """
[bold]Examples[/]

How a client starts it:  [cyan]qdiag mcp[/]

The page that tells an agent how to work with verdicts:  [cyan]qdiag mcp --skill > SKILL.md[/]

[bold]Exit codes[/]

0 The client closed the connection, or the page was printed;  2 The extra is not installed.
"""


def mcp(
    skill: Annotated[
        bool,
        typer.Option("--skill", help="Print a page for the skills of an agent, on how to work with verdicts, and end."),
    ] = False,
    may_trust: Annotated[
        bool, typer.Option("--may-trust", help="Let the client give --trust, by which a model may run code of its own.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Serve the commands as tools to an agent (MCP).

    A client of the Model Context Protocol starts this program and talks to it over standard input and
    output. Each command is a tool with the options that it has here.

    A tool returns what the command prints, its exit code, the whole result as a resource, and sentences
    that carry the places in the result that prove them.
    """
    del debug  # read by main()
    if skill:
        from qdiag.cli.agents.skill import skill_page

        typer.echo(skill_page(), nl=False)
        return
    try:
        import anyio

        from qdiag.cli.agents.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "anyio"):
            raise
        raise ConfigError("the server needs a package that is missing", hint="pip install 'qdiag[mcp]'") from error
    from functools import partial

    anyio.run(partial(serve, may_trust=may_trust))
