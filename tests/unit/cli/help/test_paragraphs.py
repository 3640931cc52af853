"""The text above the options of `--help`."""

import re

import pytest
import typer.main

from qdiag.cli.app import COMMANDS, make_app
from qdiag.cli.help.paragraphs import flowing

_MARKUP = re.compile(r"\[/?[^\[\]]*\]")
_ROOM = 78
"""Columns of a terminal of 80 that help has."""


def test_paragraphs_are_one_line_and_tables_keep_theirs() -> None:
    text = """One.

    A sentence that
    goes on.

    name   what it is
    other  another
    """
    assert flowing(text) == "One.\n\nA sentence that goes on.\n\nname   what it is\nother  another"


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_tables_fit_a_terminal_of_80_columns(name: str) -> None:
    found = typer.main.get_command(make_app([name]))
    command = getattr(found, "commands", {name: found})[name]
    lines = [_MARKUP.sub("", line) for line in (command.help or "").split("\n") if "  " in line]
    assert [line for line in lines if len(line) > _ROOM] == []
