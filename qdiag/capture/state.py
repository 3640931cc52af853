"""A network left as it was found: its tensors, its attributes, its modes and the random generators."""

import operator
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

_PLAIN = (dict, list, set)


class NetworkState:
    """What a network holds at one moment: it can be put back as often as wanted.

    Remembered are parameters and buffers with their values, every attribute of every module, and the contents of
    lists, dictionaries and sets among the attributes, with the tensors in them, and what was hung onto the tensors. The
    identity of all of them stays.
    Python objects of other classes keep what a call did to them.
    """

    def __init__(self, model: nn.Module | ExportedProgram) -> None:
        self._attributes: list[tuple[nn.Module, dict[str, Any]]] = []
        self._containers: dict[int, tuple[Any, Any]] = {}
        self._tensors: dict[int, tuple[str, Tensor, Tensor]] = {}
        self._hung: list[tuple[Tensor, dict[str, Any]]] = []
        if isinstance(model, ExportedProgram):
            for name, value in {**model.state_dict, **model.constants}.items():
                self._remember(name, value)
            return
        for path, module in model.named_modules():
            prefix = f"{path}." if path else ""
            for name, tensor in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
                self._remember(prefix + name, tensor)
            if not isinstance(module, torch.jit.ScriptModule):
                self._attributes.append((module, dict(module.__dict__)))
                for name, value in module.__dict__.items():
                    self._remember(prefix + name, value)

    def changed(self) -> tuple[str, ...]:
        """Names of tensors that hold other values now, and of attributes that are other objects."""
        names = [name for name, tensor, value in self._tensors.values() if not _same(tensor, value)]
        for module, before in self._attributes:
            now = module.__dict__
            names += [name for name in {**before, **now} if before.get(name) is not now.get(name)]
        return tuple(dict.fromkeys(names))

    def switched_to_training(self) -> tuple[str, ...]:
        """Classes of the modules that are in training mode now and were not then."""
        return tuple(type(m).__name__ for m, before in self._attributes if m.training and not before["training"])

    def restore(self) -> None:
        """Everything as it was when this was made."""
        for module, before in self._attributes:
            module.__dict__.clear()
            module.__dict__.update(before)
        for container, content in self._containers.values():
            # a module has a dozen of them, most of them empty, for which a call would take longer than this look
            if (container or content) and _differs(container, content):
                container.clear()
                container.extend(content) if isinstance(container, list) else container.update(content)
        for tensor, attributes in self._hung:
            tensor.__dict__.clear()
            tensor.__dict__.update(attributes)
        with torch.no_grad():
            for _, tensor, value in self._tensors.values():
                if tensor.shape != value.shape:
                    tensor.data = value.clone()
                elif not _same(tensor, value):
                    tensor.data.copy_(value)

    def _remember(self, name: str, value: Any) -> None:
        if isinstance(value, Tensor):
            if id(value) not in self._tensors and _is_plain(value):
                self._tensors[id(value)] = (name, value, value.detach().clone())
                self._hung.append((value, dict(value.__dict__)))
        elif isinstance(value, _PLAIN) and id(value) not in self._containers:
            self._containers[id(value)] = (value, value.copy())
            for element in list(value.values() if isinstance(value, dict) else value):
                self._remember(name, element)
        elif isinstance(value, tuple):
            for element in value:
                self._remember(name, element)


@contextmanager
def restored(model: nn.Module | ExportedProgram) -> Iterator[NetworkState]:
    """Inside, the network may be run and captured at will; afterwards it and the random generators are as before."""
    state = NetworkState(model)
    try:
        with own_randomness():
            yield state
    finally:
        state.restore()


@contextmanager
def own_randomness(seed: int | None = None) -> Iterator[None]:
    """The generators of torch (CPU), numpy and Python go back afterwards to where they were.

    Args:
        seed: what they begin from inside; None leaves them.
    """
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - the global one is meant
    try:
        with torch.random.fork_rng(devices=[]):
            if seed is not None:
                _seed(seed)
                np.random.seed(seed)  # noqa: NPY002
                random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def _seed(seed: int) -> None:
    """What `torch.manual_seed` does, without the milliseconds that it takes where there is no accelerator to be seeded.

    For each kind of accelerator that was not started yet, torch keeps the seed for later, with the stack of calls.
    """
    if _has_accelerator():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@cache
def _has_accelerator() -> bool:
    """Looked for once: it is not cheap where there is one."""
    return torch.accelerator.is_available()


def _is_plain(x: Tensor) -> bool:
    """Its values can be read and written: no sparse, nested, meta or lazy tensor, no subclass with rules of its own."""
    return type(x) in (Tensor, nn.Parameter, nn.Buffer) and x.layout is torch.strided and x.device.type != "meta"


def _same(tensor: Tensor, value: Tensor) -> bool:
    return tensor.shape == value.shape and torch.equal(tensor.detach(), value)


def _differs(container: Any, content: Any) -> bool:
    """The container holds other objects, or in another order, than its copy."""
    if len(container) != len(content):
        return True
    if isinstance(container, dict):
        same_keys = all(map(operator.is_, container, content))
        return not (same_keys and all(map(operator.is_, container.values(), content.values())))
    return not all(map(operator.is_, container, content))
