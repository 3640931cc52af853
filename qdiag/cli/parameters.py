"""The library names its parameters, in backticks; here they become the options that give them."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qdiag.core.gate import GateResult

_OTHER_NAMES = {
    "repairs": "--with",
    "overrides": "--set",
    "assumed_eps": "--eps",
    "min_change_db": "--min-change",
    "arguments": "--arg",
}
_SAME_NAMES = (
    "accept", "allow", "allow_few_samples", "arch", "baseline", "batch_size", "bits", "crop", "data",
    "float_bound", "force", "in_place", "input_shape", "key", "layers", "learning_rate", "loss", "max_drop",
    "max_flips", "max_metric", "max_metric_drop", "max_relative_drop", "min_accuracy", "min_layer_sqnr",
    "min_metric", "min_sqnr", "no_new_causes", "part", "refit_blocks", "refit_separable", "resize", "scheme",
    "strict", "submodule", "tolerance", "tolerance_db", "tolerance_metric", "train_batch", "trust",
    "update_baseline",
    "quantized", "max_differing", "max_sqnr_gap", "task", "output", "metric", "mean", "std", "pixel_scale",
)  # fmt: skip
OPTIONS = {name: f"--{name.replace('_', '-')}" for name in _SAME_NAMES} | _OTHER_NAMES
"""Options by the names of parameters."""

_commands: list[frozenset[str] | None] = []
"""The options of the command that runs, None before it is known which one does; nothing while none runs, and then every
option is named."""
_CLAUSE, _WAY = "; ", ", or "
_VERBS = ("give ", "use ", "add ", "set ")
_PARAMETER = re.compile(r"`([a-z][a-z_]*)(?:=([^`]*))?`")


def options_are(taken: Iterable[str]) -> None:
    """From now on the command that runs has these options, and no others are named; nothing where none runs."""
    if _commands:
        _commands[-1] = frozenset(taken)


@contextmanager
def one_command() -> Iterator[None]:
    """Around a command line; what is only parsed, for its help or in a test, runs no command."""
    _commands.append(None)
    try:
        yield
    finally:
        _commands.pop()


def as_options(text: str) -> str:
    """`arch=zoo:resnet18` in backticks becomes --arch zoo:resnet18; other words in backticks stay as they are.

    A parameter for which the command that runs has no option becomes plain words: the batch size.
    """
    return _PARAMETER.sub(_option, text)


def as_advice(hint: str) -> str:
    """As `as_options`, without the clauses of a hint that name what the command cannot be told, if others are left."""
    kept = [told for clause in hint.split(_CLAUSE) if (told := _possible(clause))]
    return as_options(_CLAUSE.join(kept) if kept else hint)


def _possible(clause: str) -> str:
    """What is left of `give this, or that`, or nothing."""
    ways = clause.split(_WAY)
    kept = [way for way in ways if _can_tell(way)]
    if kept and kept[0] != ways[0] and ways[0].startswith(_VERBS):
        kept[0] = f"{ways[0].split()[0]} {kept[0]}"
    return _WAY.join(kept)


def _can_tell(clause: str) -> bool:
    return all(name not in OPTIONS or _is_taken(OPTIONS[name]) for name, _ in _PARAMETER.findall(clause))


def _is_taken(option: str) -> bool:
    taken = _commands[-1] if _commands else None
    return taken is None or option in taken


def _option(found: re.Match[str]) -> str:
    name, value = found.groups()
    if name not in OPTIONS:
        return found.group()
    if not _is_taken(OPTIONS[name]):
        plain = name.replace("_", " ")
        return f"the {plain}" if value is None else f"the {plain} {value}"
    return OPTIONS[name] if value is None else f"{OPTIONS[name]} {value}"


def gate_with_options(result: "GateResult") -> "GateResult":
    """The same result, whose reasons and notes name options."""
    checks = tuple(replace(check, reason=as_options(check.reason)) for check in result.checks)
    return replace(result, checks=checks, notes=tuple(map(as_options, result.notes)))
