"""Commands with help screens and errors of qdiag's own, in place of those of the package that reads command lines."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from qdiag.cli.help.lines import rendered
from qdiag.cli.help.screen import first_screen, full_screen, group_screen
from qdiag.cli.help.usage import USAGE_ERRORS, no_such_command, too_many_words, usage_error
from qdiag.cli.options.given import options_given
from qdiag.cli.parameters import options_are

PANELS: Sequence[tuple[str, Sequence[str]]] = (
    ("Begin", ("demo", "check", "diagnose")),
    ("Look at a network", ("sqnr", "ranges", "bn", "fold", "branches", "sensitivity", "rank")),
    ("Repair it", ("repair", "fix-bn", "qat")),
    ("Deploy it", ("export", "verify")),
    ("Read, compare and guard results", ("view", "report", "overlay", "compare", "gate", "explain")),
    ("Lists and surroundings", ("schemes", "zoo", "cache", "mcp", "reproduce")),
)
"""What one wants to do, and the commands for that, in the order of `qdiag --help`."""


def _show_everything(ctx: Any, _: Any, is_asked: bool) -> None:
    if is_asked and not ctx.resilient_parsing:
        typer.echo(rendered(full_screen(ctx.command, ctx)))
        ctx.exit()


class PlainCommand(TyperCommand):
    """A command whose `--help` is one screen, and which says in plain words what it cannot read."""

    _help_all: Any = None

    def get_params(self, ctx: Any) -> list[Any]:
        """Those of the command, `--help`, and `--help-all`, which is made like it."""
        params = super().get_params(ctx)
        help_option = self.get_help_option(ctx)
        if self._help_all is None and help_option is not None:
            self._help_all = copy(help_option)
            self._help_all.name, self._help_all.opts = "help_all", ["--help-all"]
            self._help_all.callback = _show_everything
        return params if self._help_all is None else [*params, self._help_all]

    def get_help(self, ctx: Any) -> str:
        """The first screen."""
        return rendered(first_screen(self, ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `TyperCommand`.

        Raises:
            ConfigError: an option or a value that the command does not take.
        """
        ctx.allow_extra_args = True  # told below, in words of our own
        options_are(option for param in self.get_params(ctx) for option in (*param.opts, *param.secondary_opts))
        with _told(ctx):
            rest = super().parse_args(ctx, args)
        sources = ((param.name, ctx.get_parameter_source(param.name)) for param in self.params)
        options_given(name for name, source in sources if source is not None and source.name == "COMMANDLINE")
        if rest and not ctx.resilient_parsing:
            raise too_many_words(rest, ctx)
        return rest


class PlainGroup(TyperGroup):
    """The program: its commands by what one wants to do."""

    def get_help(self, ctx: Any) -> str:
        """All commands."""
        return rendered(group_screen(self, ctx, PANELS))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `TyperGroup`; without any words, the help is shown."""
        if not args and not ctx.resilient_parsing:
            typer.echo(self.get_help(ctx))
            ctx.exit(2)
        with _told(ctx):
            return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """See `TyperGroup`.

        Raises:
            ConfigError: there is no such command; names the nearest.
        """
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise no_such_command(args[0], list(self.commands), ctx)
        return super().resolve_command(ctx, args)


@contextmanager
def _told(ctx: Any) -> Iterator[None]:
    """Inside, what the package that reads command lines raises becomes an error of our own."""
    try:
        yield
    except USAGE_ERRORS as error:
        raise usage_error(error, ctx) from None
