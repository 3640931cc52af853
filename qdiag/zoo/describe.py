"""The networks of the zoo as a list: names, arguments, sizes."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Literal, Union, get_args, get_origin

import torch

from qdiag.zoo.build import ZOO


@dataclass(frozen=True, slots=True)
class Argument:
    """What `?NAME=VALUE` behind the name of a network may be.

    Attributes:
        default: as it is typed; `auto` where the network decides.
        values: what it may be, in words.
    """

    name: str
    default: str
    values: str


@dataclass(frozen=True, slots=True)
class ZooNetwork:
    """A network of the zoo; `title` is one line, and `parameter_count` is of the network with its defaults."""

    name: str
    title: str
    parameter_count: int
    arguments: tuple[Argument, ...]


def describe_zoo() -> Iterator[ZooNetwork]:
    """Every network, in the order of the zoo. None is allocated: parameters are counted without their values."""
    for name, factory in ZOO.items():
        with torch.device("meta"):
            count = sum(parameter.numel() for parameter in factory().parameters())
        title = (
            (inspect.getdoc(factory) or "")
            .split("\n")[0]
            .rstrip(".")
            .replace(", without weights", "")
            .replace(" without weights", "")
        )
        arguments = inspect.signature(factory).parameters.values()
        yield ZooNetwork(name, title, count, tuple(map(_argument, arguments)))


def _argument(parameter: inspect.Parameter) -> Argument:
    return Argument(parameter.name, _typed(parameter.default), _values(parameter.annotation))


def _typed(value: object) -> str:
    if value is None:
        return "auto"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(kind: object) -> str:
    if get_origin(kind) in (UnionType, Union):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is Literal:
        *most, last = get_args(kind)
        return f"{', '.join(most)} or {last}"
    return (
        {bool: "true or false", int: "a whole number", float: "a number"}.get(kind, "")
        if isinstance(kind, type)
        else ""
    )
