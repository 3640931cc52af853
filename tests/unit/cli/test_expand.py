"""Groups of options become single parameters, in one order of panels."""

import inspect
from dataclasses import dataclass
from typing import Annotated

import typer

from qdiag.cli.options.expand import expand
from qdiag.cli.options.panels import OUTPUT, RUN

First = Annotated[str, typer.Argument()]
Late = Annotated[int, typer.Option("--late", rich_help_panel=OUTPUT)]
Early = Annotated[int, typer.Option("--early", rich_help_panel=RUN)]
Own = Annotated[bool, typer.Option("--own", rich_help_panel="Own")]


@dataclass(frozen=True)
class Group:
    first: First
    early: Early = 3


def test_fields_become_parameters_and_come_back_as_the_group() -> None:
    seen: list[object] = []

    @expand
    def command(group: Group, late: Late = 1, own: Own = False) -> None:
        """Words."""
        seen.extend([group, late, own])

    parameters = inspect.signature(command).parameters
    assert list(parameters) == ["first", "own", "early", "late"]
    assert parameters["first"].default is inspect.Parameter.empty
    assert command.__doc__ == "Words."
    command(first="x", early=5, late=2, own=True)  # type: ignore[call-arg]
    assert seen == [Group("x", 5), 2, True]
