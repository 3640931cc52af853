"""A command that says in plain words what is wrong with the value of an option."""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

import typer
from typer.core import TyperCommand

_WORDS: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "int_parsing": lambda given, _: f"{given!r} is not a whole number",
    "int_from_float": lambda given, _: f"{given!r} is not a whole number",
    "float_parsing": lambda given, _: f"{given!r} is not a number",
    "bool_parsing": lambda given, _: f"{given!r} is neither true nor false",
    "greater_than": lambda given, limits: f"{given} is not above {limits['gt']}",
    "greater_than_equal": lambda given, limits: f"{given} is below {limits['ge']}",
    "less_than": lambda given, limits: f"{given} is not below {limits['lt']}",
    "less_than_equal": lambda given, limits: f"{given} is above {limits['le']}",
    "value_error": lambda _, told: _with_nearest(str(told["error"])),
}
"""By the kinds of error of the package that reads values for typer."""

_NO_CHOICE, _CHOICE = re.compile(r"'(.*)' is not one of (.*)"), re.compile(r"'([^']*)'")
"""How typer words a value that is none of the choices, and a choice in it."""


class PlainCommand(TyperCommand):
    """Words of its own for values that cannot be read; everything else is typer's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `TyperCommand`.

        Raises:
            typer.BadParameter: naming the option and the value.
        """
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = _plain(error) or error.message
            raise


def _with_nearest(message: str) -> str:
    """The message, and which of the choices was meant, where one is close: `... Did you mean imagenet?`"""
    found = _NO_CHOICE.fullmatch(message)
    if found is None:
        return message
    near = difflib.get_close_matches(found[1], _CHOICE.findall(found[2]), n=1, cutoff=0.5)
    return f"{message} Did you mean {near[0]}?" if near else message


def _plain(error: typer.BadParameter) -> str:
    """Empty where the error has another origin."""
    errors = getattr(error.__cause__, "errors", None)
    if not callable(errors):
        return ""
    first = errors()[0]
    words = _WORDS.get(first.get("type", ""))
    if words is None:
        return f"{first.get('input')!r} is no value that can be given here"
    return words(first.get("input"), first.get("ctx", {}))
