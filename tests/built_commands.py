"""Commands that are built once: typer makes the options of a command anew for each line that is run.

That takes it three to nine milliseconds, and the tests run thousands of lines in their own processes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import typer


class BuiltCommands:
    """Programs of one command, and what typer has built of them.

    Args:
        make: `qdiag.cli.app.make_app`. build: `typer.main.get_command`.
    """

    def __init__(self, make: Callable[..., typer.Typer], build: Callable[[typer.Typer], Any]) -> None:
        self._make, self._build = make, build
        self._programs: dict[str, typer.Typer] = {}
        self._commands: dict[int, Any] = {}

    def program(self, names: Sequence[str] | None = None, *, lists_others: bool = False) -> typer.Typer:
        """In place of `make_app`."""
        if names is None or len(names) != 1 or lists_others:  # its help and completion depend on the environment
            return self._make(names, lists_others=lists_others)
        (name,) = names
        if name not in self._programs:
            self._programs[name] = self._make(names)
        return self._programs[name]

    def command(self, program: typer.Typer) -> Any:
        """In place of `get_command`."""
        if not any(program is kept for kept in self._programs.values()):
            return self._build(program)
        if id(program) not in self._commands:
            self._commands[id(program)] = self._build(program)
        return self._commands[id(program)]
