"""What is said of a command line that cannot be read: what is wrong, where, and what was meant."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from qdiag.cli.help.option_rows import choices_of
from qdiag.core.nearest import nearest_hint
from qdiag.errors import ConfigError

USAGE_ERRORS: type[Exception] = typer.BadParameter.__mro__[1]
"""What typer raises of a command line; older ones take it from click, newer ones have their own."""

_WORDS: Mapping[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "int_parsing": lambda given, _: f"{given!r} is not a whole number",
    "int_from_float": lambda given, _: f"{given!r} is not a whole number",
    "float_parsing": lambda given, _: f"{given!r} is not a number",
    "bool_parsing": lambda given, _: f"{given!r} is neither true nor false",
    "greater_than_equal": lambda given, limits: _beyond(given, "below", limits["ge"], "least"),
    "less_than_equal": lambda given, limits: _beyond(given, "above", limits["le"], "most"),
}
"""By the kinds of error of the package that reads values for typer."""

_GIVEN = re.compile(
    r"'(?P<given>.*?)' is not (?:one of|a valid (?P<kind>\w+))|(?P<number>\S+) is not in the range", re.DOTALL
)
"""How typer words a value that an option does not take."""
_EXAMPLES = (("a whole number", "10"), ("a number", "0.5"))
_KINDS = {"integer": "a whole number", "int": "a whole number", "float": "a number", "boolean": "true or false"}


def usage_error(error: Any, ctx: Any) -> ConfigError:
    """The error in words of our own, by its kind."""
    kind = type(error).__name__
    if kind == "NoSuchOption":
        return _no_such_option(str(error.option_name), ctx)
    if kind == "BadOptionUsage":
        return _without_its_value(str(error.option_name), ctx)
    if kind == "MissingParameter":
        return _missing(error.param, ctx)
    if isinstance(error, typer.BadParameter):
        return _bad_value(error, ctx)
    return ConfigError("this command line cannot be read", hint=_help_hint(ctx))


def _beyond(given: Any, side: str, limit: float, which: str) -> str:
    if str(given).strip().lower() == "nan":
        return f"{given} is not a number"
    return f"{given} is {side} {limit:g}, the {which} that this option takes"


def no_such_command(name: str, commands: Sequence[str], ctx: Any) -> ConfigError:
    """A word that is no command; an option there stands before the command."""
    hint = nearest_hint(name, commands, f"{ctx.command_path} --help lists all commands")
    return ConfigError(f"{ctx.command_path} has no command {name!r}", hint=hint)


def too_many_words(rest: Sequence[str], ctx: Any) -> ConfigError:
    """Words that are neither options nor values of options."""
    taken = [param.metavar or param.name.upper() for param in _params(ctx) if param.param_type_name == "argument"]
    takes = f"takes {' and '.join(taken)} and options" if taken else "takes options alone"
    hint = f"put a name with spaces into quotation marks; {_help_hint(ctx)}"
    words = ", ".join(repr(word) for word in rest)
    return ConfigError(f"{ctx.command_path} {takes}, but was given {words} as well", hint=hint)


def _no_such_option(name: str, ctx: Any) -> ConfigError:
    known = [option for param in _params(ctx) for option in (*param.opts, *param.secondary_opts)]
    known = [option for option in known if option.startswith("-")]
    hint = nearest_hint(name, known, _help_hint(ctx))
    return ConfigError(f"{ctx.command_path} has no option {name}", hint=hint)


def _without_its_value(name: str, ctx: Any) -> ConfigError:
    found = next((param for param in _params(ctx) if name in (*param.opts, *param.secondary_opts)), None)
    if found is not None and getattr(found, "is_flag", False):
        return ConfigError("the option takes no value", at=name, hint=f"write {name} alone")
    example = getattr(found, "metavar", None) or "|".join(choices_of(found) if found is not None else ()) or "VALUE"
    return ConfigError("the option needs a value", at=name, hint=f"write {name} {example}")


def _missing(param: Any, ctx: Any) -> ConfigError:
    if param.param_type_name == "argument":
        name = param.metavar or param.name.upper()
        return ConfigError(f"{ctx.command_path} needs {name}", hint=_example(ctx) or _help_hint(ctx))
    name = max(param.opts, key=len)
    return ConfigError(f"{ctx.command_path} needs {name}", hint=f"write {name} {param.metavar or 'VALUE'}")


def _bad_value(error: Any, ctx: Any) -> ConfigError:
    param = error.param
    place = None
    if param is not None:
        is_argument = param.param_type_name == "argument"
        place = param.metavar or param.name.upper() if is_argument else max(param.opts, key=len)
    choices = choices_of(param) if param is not None else []
    given, words = _given(error)
    if choices:
        near = nearest_hint(given, choices, otherwise="-")
        return ConfigError(
            f"{given!r} is unknown; the choices are {', '.join(choices)}",
            at=place,
            hint=near.strip("-") or None,
        )
    examples = [hint for word, hint in _EXAMPLES if word in words and place is not None]
    return ConfigError(
        words or str(error.message), at=place, hint=f"write for example {place} {examples[0]}" if examples else None
    )


def _given(error: Any) -> tuple[str, str]:
    """The value that cannot be taken, and why, where the kind of the error is known."""
    errors = getattr(error.__cause__, "errors", None)
    if callable(errors):
        first = errors()[0]
        given, limits = first.get("input"), first.get("ctx", {})
        words = _WORDS.get(first.get("type", ""))
        return str(given), words(given, limits) if words else f"{given!r} is no value that can be given here"
    found = _GIVEN.match(str(error.message))
    if found is None:
        return "", ""
    if found["number"]:
        return found["number"], f"{found['number']} is beyond the limits of this option"
    return found["given"], f"{found['given']!r} is not {_KINDS.get(found['kind'] or '', 'a value that it takes')}"


def _example(ctx: Any) -> str:
    from qdiag.cli.help.screen import example_of

    line = example_of(ctx.command)
    return f"for example: {line}" if line else ""


def _help_hint(ctx: Any) -> str:
    option = "--help" if ctx.parent is None else "--help-all"
    return f"{ctx.command_path} {option} lists what it takes"


def _params(ctx: Any) -> list[Any]:
    return list(ctx.command.get_params(ctx))
