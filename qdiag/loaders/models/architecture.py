"""`zoo:NAME?key=value`, `package.module:factory`, `./net.py:factory`: networks built by code."""

import copy
import inspect
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn

from qdiag import zoo
from qdiag.core.nearest import nearest_hint
from qdiag.errors import ConfigError, LoadError
from qdiag.files.code_failure import code_failure
from qdiag.loaders.missing import ZOO, is_architecture_ref
from qdiag.loaders.models.file import LoadedModel
from qdiag.loaders.python_ref import load_object, parse_query

FORMS_HINT = (
    "say how the network is built: `arch=zoo:mobilenet_v1?width=0.75`, `arch=package.module:factory` "
    "or `arch=./net.py:factory`"
)


def need_arch(arch: str | None, at: str, why: str) -> str:
    """`arch`, or the `LoadError` that shows its forms."""
    if arch is None:
        raise LoadError(f"{why}, not the network they belong to", at=at, hint=FORMS_HINT)
    return arch


def load_reference(reference: str) -> LoadedModel:
    """A network that needs no file: from a factory that sets its own weights, or random from the zoo."""
    model = build_architecture(reference)
    return LoadedModel(model, "module", reference if reference.startswith(ZOO) else type(model).__name__)


def build_architecture(reference: str, tensor_names: Iterable[str] | None = None) -> nn.Module:
    """The network that a reference builds. Initial weights are the same every time: torch's generator starts at 0.

    Args:
        tensor_names: of the checkpoint that it is built for, where a network of the zoo has several forms.

    Raises:
        ConfigError: another form of reference, an unknown network of the zoo, or arguments that do not fit.
        LoadError: no such file, module or factory; a factory that fails or returns no `nn.Module`.
    """
    if not is_architecture_ref(reference):
        raise ConfigError(f"`arch={reference!r}` names no network", hint=FORMS_HINT)
    name, arguments = parse_query(reference)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = zoo.build(name[len(ZOO) :], arguments, tensor_names) if name.startswith(ZOO) else _call(name, arguments)
    if not isinstance(built, nn.Module):
        raise LoadError(
            f"it gives a value of type {type(built).__name__}, not an nn.Module",
            at=reference,
            hint="return the network itself",
        )
    return built


def _call(name: str, arguments: Mapping[str, object]) -> object:
    found = load_object(name, suits=_may_build)
    if isinstance(found, nn.Module):
        if arguments:
            raise ConfigError("it is a network already and takes no arguments", at=name)
        return copy.deepcopy(found)  # it belongs to the module that we imported, and may be in use there
    if not callable(found):
        raise LoadError(
            f"this is an object of type {type(found).__name__}, not a function that builds a network",
            at=name,
            hint="name a function or a class that gives an nn.Module",
        )
    _check_arguments(name, found, arguments)
    try:
        return found(**arguments)
    except (Exception, SystemExit) as error:
        hint = "call it in Python first, without qdiag"
        raise LoadError(f"building the network failed: {code_failure(error)}", at=name, hint=hint) from error


def _may_build(found: object) -> bool:
    """Whether it looks like what `arch` can name: a network, its class, or a function."""
    return (
        isinstance(found, nn.Module)
        or (inspect.isclass(found) and issubclass(found, nn.Module))
        or inspect.isfunction(found)
    )


def _check_arguments(name: str, factory: Callable[..., object], arguments: Mapping[str, object]) -> None:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # some callables of C extensions have none
        return
    known = list(signature.parameters)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    for argument in arguments:
        if argument not in known and not takes_any:
            hint = nearest_hint(argument, known, f"it takes {', '.join(known) or 'no arguments'}")
            raise ConfigError(f"it has no argument {argument!r}", at=name, hint=hint)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        needed = [p.name for p in signature.parameters.values() if p.default is p.empty and p.name not in arguments]
        message = f"it needs a value for {', '.join(needed)}"
        raise ConfigError(message, at=name, hint=f"write {name}?{needed[0] if needed else 'argument'}=value") from error
