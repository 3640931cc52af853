"""A network by its name in the zoo, with arguments as typed on a command line."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from torch import nn

from qdiag.core.nearest import nearest_hint
from qdiag.errors import ConfigError
from qdiag.zoo.checks import check_choice
from qdiag.zoo.mobilenet_v1 import mobilenet_v1, mobilenet_v1_small
from qdiag.zoo.mobilenet_v2 import mobilenet_v2
from qdiag.zoo.nin import nin
from qdiag.zoo.repvgg import arguments_of_names, repvgg_a0, repvgg_small
from qdiag.zoo.resnet import resnet18, resnet34, resnet50
from qdiag.zoo.resnet_cifar import resnet_cifar

ZOO: dict[str, Callable[..., nn.Module]] = {
    factory.__name__: factory
    for factory in (
        mobilenet_v1,
        mobilenet_v1_small,
        mobilenet_v2,
        nin,
        repvgg_a0,
        repvgg_small,
        resnet_cifar,
        resnet18,
        resnet34,
        resnet50,
    )
}

RECOGNIZED: dict[str, Callable[[Iterable[str]], dict[str, object]]] = {
    "repvgg_a0": arguments_of_names,
    "repvgg_small": arguments_of_names,
}
"""Networks of several forms: the arguments that the names of the tensors in a checkpoint tell."""

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def build(
    name: str, arguments: Mapping[str, object] | None = None, tensor_names: Iterable[str] | None = None
) -> nn.Module:
    """A network of the zoo, without weights and in eval mode.

    Args:
        name: key of `ZOO`.
        arguments: arguments of the factory; texts are read as the type that the factory declares.
        tensor_names: of the checkpoint that it is built for; they tell the form where `arguments` do not.

    Raises:
        ConfigError: no such network or argument (the nearest name is in the hint), or a value that does not fit.
    """
    if name not in ZOO:
        raise ConfigError(f"no network {name!r} in the zoo", at=f"zoo:{name}", hint=nearest_hint(name, list(ZOO)))
    parameters = inspect.signature(ZOO[name]).parameters
    read: dict[str, object] = {}
    for argument, value in (arguments or {}).items():
        if argument not in parameters:
            raise ConfigError(
                f"it has no argument {argument!r}", at=f"zoo:{name}", hint=nearest_hint(argument, list(parameters))
            )
        kind = parameters[argument].annotation
        read[argument] = _read(argument, value, kind) if isinstance(value, str) else value
    if tensor_names is not None and name in RECOGNIZED:
        read = {**RECOGNIZED[name](tensor_names), **read}
    return ZOO[name](**read).eval()


def _read(argument: str, text: str, kind: object) -> object:
    """`text` as a value of the annotated type `kind`; of `KIND | None`, as a value of KIND."""
    if get_origin(kind) in (UnionType, Union):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is Literal:
        check_choice(argument, text, get_args(kind))
        return text
    if kind is bool:
        check_choice(argument, text.lower(), tuple(_TRUTH))
        return _TRUTH[text.lower()]
    try:
        return int(text) if kind is int else float(text)
    except ValueError as error:
        wanted = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{text!r} is not {wanted}", at=argument) from error
