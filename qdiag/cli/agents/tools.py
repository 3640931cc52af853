"""Commands described as tools: names, JSON Schemas of their arguments, and the command line that arguments make."""

import inspect
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from rich.text import Text
from typer.models import ArgumentInfo, OptionInfo

from qdiag.cli.app import COMMANDS
from qdiag.cli.help.paragraphs import flowing
from qdiag.core.nearest import nearest_hint
from qdiag.errors import ConfigError

NOT_TOOLS = frozenset({"mcp", "view"})
"""Commands that an agent has no use for: the server itself, and a browser on somebody else's screen."""

_LEFT_OUT = frozenset({"debug", "quiet", "verbose"})
_SCALARS = {str: "string", Path: "string", int: "integer", float: "number", bool: "boolean"}


@dataclass(frozen=True, slots=True)
class ToolParameter:
    """An argument or an option of a command.

    Attributes:
        words: what the option is called, the negative form last where there is one; empty for an argument.
        schema: JSON Schema of its value.
    """

    name: str
    words: tuple[str, ...]
    schema: Mapping[str, Any]
    is_required: bool

    def written(self, value: Any) -> Iterator[str]:
        """The value as words of a command line. `=` keeps one that begins with a dash from being an option."""
        if isinstance(value, bool):
            if value or len(self.words) > 1:
                yield self.words[0] if value else self.words[1]
            return
        for one in value if isinstance(value, list) else [value]:
            yield f"{self.words[0]}={one}" if self.words else str(one)


@dataclass(frozen=True, slots=True)
class CommandTool:
    """A command as a tool.

    Attributes:
        description: its help, as plain text.
    """

    command: str
    description: str
    parameters: tuple[ToolParameter, ...]

    @property
    def name(self) -> str:
        """Tools are named by letters, digits and underscores."""
        return self.command.replace("-", "_")

    @property
    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        return {
            "type": "object",
            "properties": {parameter.name: dict(parameter.schema) for parameter in self.parameters},
            "required": [parameter.name for parameter in self.parameters if parameter.is_required],
            "additionalProperties": False,
        }

    def takes(self, name: str) -> bool:
        """Whether there is a parameter of this name."""
        return any(parameter.name == name for parameter in self.parameters)

    def words(self, arguments: Mapping[str, Any]) -> list[str]:
        """The command line that runs it, without the program.

        Raises:
            ConfigError: an argument that it does not have, or one that is missing.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in arguments:
            if name not in known:
                raise ConfigError(
                    f"the tool {self.name} has no argument {name!r}", hint=nearest_hint(name, list(known))
                )
        missing = [p.name for p in self.parameters if p.is_required and arguments.get(p.name) is None]
        if missing:
            raise ConfigError(f"the tool {self.name} needs a value for {', '.join(missing)}")
        given = {name: value for name, value in arguments.items() if value is not None}
        options = [word for name, value in given.items() if known[name].words for word in known[name].written(value)]
        places = [word for p in self.parameters if not p.words and p.name in given for word in p.written(given[p.name])]
        return [self.command, *options, *(["--", *places] if places else [])]


def command_tools(*, may_trust: bool = False) -> tuple[CommandTool, ...]:
    """Every command that an agent may run, in the order of `qdiag --help`.

    Args:
        may_trust: whether models may run code of their own: the tools then have the parameter `trust`.
    """
    left_out = _LEFT_OUT if may_trust else _LEFT_OUT | {"trust"}
    return tuple(
        _tool(name, getattr(import_module(module), name.replace("-", "_")), left_out)
        for name, module, _ in COMMANDS
        if name not in NOT_TOOLS
    )


def _tool(command: str, function: Any, left_out: frozenset[str]) -> CommandTool:
    hints = get_type_hints(function, include_extras=True)
    parameters = tuple(
        _parameter(name, hints[name], parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in left_out
    )
    return CommandTool(command, _plain(function.__doc__), parameters)


def _parameter(name: str, hint: Any, default: Any) -> ToolParameter:
    kind, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    (info,) = [mark for mark in marks if isinstance(mark, OptionInfo | ArgumentInfo)]
    schema = _schema(kind)
    if info.help:
        schema["description"] = _plain(info.help)
    is_required = default in (inspect.Parameter.empty, ...)
    if not is_required and isinstance(default, str | int | float):
        schema["default"] = default
    words = _option_words(name, info)
    shown = words[0].lstrip("-").replace("-", "_") if words else name
    return ToolParameter(shown, words, schema, is_required)


def _plain(marked: str) -> str:
    """Help without the marks of its colours."""
    return Text.from_markup(flowing(marked)).plain


def _option_words(name: str, info: OptionInfo | ArgumentInfo) -> tuple[str, ...]:
    """The long form of an option and of its negative, from what it was declared with."""
    if isinstance(info, ArgumentInfo):
        return ()
    first = (info.default,) if isinstance(info.default, str) else ()  # where a declaration inside `Annotated` is put
    longest = max((*first, *(info.param_decls or ())), key=len, default=f"--{name.replace('_', '-')}")
    return tuple(longest.split("/"))


def _schema(kind: Any) -> dict[str, Any]:
    """JSON Schema of a type of Python."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _schema(parts[0])
    if origin in (Union, types.UnionType):
        return _schema(next(part for part in parts if part is not type(None)))
    if origin is Literal:
        return {"type": "string", "enum": list(parts)}
    if origin in (list, Sequence, tuple):
        return {"type": "array", "items": _schema(parts[0])}
    if issubclass(kind, Enum):
        return {"type": "string", "enum": [member.value for member in kind]}
    return {"type": _SCALARS[kind]}
