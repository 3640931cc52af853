"""Programs that one test has exported, for the others: half of the time of a small test is `torch.export`.

The network is told by its class, its attributes, and the shapes of its parameters, of its buffers and of the inputs:
export sees no more of them. What cannot be told, and what `torch.export` is not for, is exported each time.
"""

import copy
import io
import pickle
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from qdiag.batches import Batch

Export = Callable[..., ExportedProgram]
_ORIGINAL = torch.export.export


@dataclass(frozen=True)
class _Kept:
    """A program, which of its tensors are the network's own, and its graph in words."""

    program: ExportedProgram
    own: frozenset[str]
    text: str


class SharedExports:
    """Takes the place of `qdiag.capture.routes._exported`."""

    def __init__(self, export: Export) -> None:
        self.export = export
        self._kept: dict[bytes, _Kept] = {}

    def __call__(self, model: nn.Module, example: Batch, *, dynamic: bool) -> ExportedProgram:
        key = key_of(model, example, dynamic) if torch.export.export is _ORIGINAL else None
        if key is None:
            return self.export(model, example, dynamic=dynamic)
        if key not in self._kept:
            program = self.export(model, example, dynamic=dynamic)
            if not list(program.graph_module.children()):
                tensors = _tensors(model)
                held = {**program.state_dict, **program.constants}
                own = frozenset(name for name, value in held.items() if tensors.get(name) is value)
                self._kept[key] = _Kept(program, own, str(program.graph))
            return program
        kept, tensors = self._kept[key], _tensors(model)

        def of_model(held: dict[str, Any]) -> dict[str, Any]:
            return {name: tensors[name] if name in kept.own else copy.deepcopy(value) for name, value in held.items()}

        assert str(kept.program.graph) == kept.text, "a test has changed a program that it was lent"
        return _on(kept.program, of_model(kept.program.state_dict), of_model(kept.program.constants), example)


class KnownHints:
    """Takes the place of `typing` where torch reads an exported program.

    Of each class of torch's schema it evaluates the types once, not for each value: that was a third of the reading.
    """

    def __init__(self) -> None:
        self._known: dict[type, dict[str, Any]] = {}

    def get_type_hints(self, of: type, **spaces: Any) -> dict[str, Any]:
        if of not in self._known:
            self._known[of] = typing.get_type_hints(of, **spaces)
        return self._known[of]

    def __getattr__(self, name: str) -> Any:
        return getattr(typing, name)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return dict([*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)])


def _on(
    program: ExportedProgram, state_dict: dict[str, Any], constants: dict[str, Any], example: Batch
) -> ExportedProgram:
    """The same program on other tensors."""
    found = copy.copy(program)
    found._state_dict, found._constants = state_dict, constants
    found._example_inputs = (example.args, dict(example.kwargs))
    return found


def key_of(model: nn.Module, example: Batch, dynamic: bool) -> bytes | None:
    """What export sees; None where that cannot be written down, such as attributes that are functions of a test."""
    file = io.BytesIO()
    shapes_alone = {id(value) for value in [*model.parameters(), *model.buffers(), *_leaves(example)]}
    flags = (dynamic, torch.get_default_dtype())  # gradients are off in every export
    try:
        _Teller(file, shapes_alone).dump((flags, model, example.args, dict(example.kwargs)))
    except (pickle.PicklingError, AttributeError, TypeError, ValueError, RecursionError):
        return None
    return file.getvalue()


def _leaves(example: Batch) -> list[Any]:
    return torch.utils._pytree.tree_leaves((example.args, dict(example.kwargs)))


class _Teller(pickle.Pickler):
    """Tensors are told by what export sees of them, and not by where they lie."""

    def __init__(self, file: io.BytesIO, shapes_alone: set[int]) -> None:
        super().__init__(file, protocol=5)
        self._shapes_alone = shapes_alone
        self._storages: dict[int, int] = {}

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return NotImplemented
        if type(value) not in (Tensor, nn.Parameter) or value.layout is not torch.strided or value.device.type != "cpu":
            raise pickle.PicklingError("a tensor of another kind")
        storage = self._storages.setdefault(value.untyped_storage().data_ptr(), len(self._storages))
        content = b"" if id(value) in self._shapes_alone else value.detach().cpu().contiguous().numpy().tobytes()
        kind = (type(value).__name__, str(value.dtype), tuple(value.shape), value.stride(), value.storage_offset())
        needs_gradient = value.requires_grad and id(value) not in self._shapes_alone  # of parameters: no matter
        return str, (repr((kind, needs_gradient, storage, content)),)
