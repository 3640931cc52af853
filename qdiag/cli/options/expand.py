"""Groups of options as one parameter: a command takes `model: ModelOptions`, the user gives `--arch` and `--trust`."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Any, TypeVar, get_args, get_type_hints

from qdiag.cli.options.panels import DATA, MODEL, OUTPUT, RUN, SCHEME, TASK

PANELS = (MODEL, DATA, TASK, SCHEME, RUN, OUTPUT)

_Command = TypeVar("_Command", bound=Callable[..., None])


def expand(command: _Command, *, without: Sequence[str] = ()) -> _Command:
    """The command with one parameter for each field of its dataclass parameters.

    Panels that many commands have come in one order, behind those of the command's own. typer reads a function's
    signature; ten commands that list the same twenty options would be the same page ten times.

    Args:
        without: fields that this command does not offer; they keep their defaults.
    """
    own = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hints[name] for name in own.parameters if is_dataclass(hints.get(name))}
    parameters: list[inspect.Parameter] = []
    for name, parameter in own.parameters.items():
        if name in groups:
            parameters += [field for field in _fields_of(groups[name]) if field.name not in without]
        else:
            parameters.append(_keyword(name, hints[name], parameter.default))

    parameters.sort(key=_panel_place)

    @wraps(command)
    def flat(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{f.name: values.pop(f.name) for f in fields(group) if f.name not in without})
        command(**values)

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat  # type: ignore[return-value]


def _panel_place(parameter: inspect.Parameter) -> int:
    """Place of the option's panel in `--help`; 0 for arguments and panels of the command's own."""
    panels = [getattr(info, "rich_help_panel", None) for info in get_args(parameter.annotation)[1:]]
    return next((PANELS.index(panel) + 1 for panel in panels if panel in PANELS), 0)


def _fields_of(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        _keyword(field.name, hints[field.name], inspect.Parameter.empty if field.default is MISSING else field.default)
        for field in fields(group)
    ]


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
