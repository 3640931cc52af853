"""Options as rows: what they are called, what they do, their choices and defaults."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from rich.text import Text

from qdiag.cli.quantity import lines_of

_NAMES_AT_MOST = 24
"""Columns of the names of options; a longer name has a line of its own."""
_CHOICES_AT_MOST = 20
"""Characters of choices that stand at the name; more of them stand in the help."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
OWN_HELP = {
    "help": "Show this screen.",
    "help_all": "Show every option, and all that there is to say.",
    "install_completion": "Let this shell complete commands and options from now on.",
    "show_completion": "Print what completes commands and options, for a configuration of your own.",
}
"""Instead of the words of the package that reads the command line."""


def option_rows(params: Sequence[Any], ctx: Any, width: int, *, is_short: bool) -> Iterator[Text]:
    """Lines of a table of options and arguments.

    Args:
        is_short: the first sentence of each help alone.
    """
    rows = [(_name(param), _help(param, ctx, is_short=is_short)) for param in params]
    longest = max((len(name) for name, _ in rows if len(name) <= _NAMES_AT_MOST), default=_NAMES_AT_MOST)
    for name, said in rows:
        yield from row(name, said, longest, width)


def row(name: Text, said: Text, longest: int, width: int) -> Iterator[Text]:
    """Lines of one row: a name, and what is said of it beside `longest` columns of names."""
    indent = longest + 4
    lines = lines_of(said, max(width - indent, 20)) if said.plain else [Text()]
    if len(name) > longest:
        yield Text.assemble("  ", name)
    for place, line in enumerate(lines):
        start = Text.assemble("  ", name) if place == 0 and len(name) <= longest else Text()
        start.pad_right(indent - len(start))
        yield Text.assemble(start, line)


def _name(param: Any) -> Text:
    """`-o, --out DIR`."""
    if param.param_type_name == "argument":
        return Text(param.metavar or param.name.upper(), style="cyan")
    names = sorted(param.opts, key=len) + list(param.secondary_opts)
    text = Text(", ".join(names), style="cyan")
    value = _value_name(param)
    return text.append(f" {value}", style="default") if value else text


def _value_name(param: Any) -> str:
    if getattr(param, "is_flag", False):
        return ""
    if param.metavar:
        return str(param.metavar)
    choices = "|".join(choices_of(param))
    return choices if choices and len(choices) <= _CHOICES_AT_MOST else "NAME"


def choices_of(param: Any) -> list[str]:
    """The values that an option can take, where they are a few words."""
    described = getattr(param, "type_descriptor", None)
    values = getattr(described, "choices", None) if described is not None else getattr(param.type, "choices", None)
    return [str(getattr(value, "value", value)) for value in values or ()]


def _help(param: Any, ctx: Any, *, is_short: bool) -> Text:
    said = OWN_HELP.get(param.name) or getattr(param, "help", None) or ""
    if is_short:
        said = _SENTENCE.split(said)[0]
    text = Text.from_markup(said)
    choices = choices_of(param)
    if choices and "|".join(choices) not in _value_name(param) and not all(choice in said for choice in choices):
        text.append(f" One of {', '.join(choices)}.")
    default = _default(param, ctx)
    if default:
        text.append(f" [default: {default}]", style="dim")
    if param.required and param.param_type_name != "argument":
        text.append(" [required]", style="dim")
    return text


def _default(param: Any, ctx: Any) -> str:
    """As it is shown; empty where there is none, or nothing to be said of it."""
    shown = getattr(param, "show_default", True)
    if isinstance(shown, str):
        return shown
    value = param.get_default(ctx, call=False)
    if not shown or value is None or value == [] or callable(value):
        return ""
    if isinstance(value, bool):
        names = param.opts if value else param.secondary_opts
        return names[0] if param.secondary_opts else ""
    return str(getattr(value, "value", value))
