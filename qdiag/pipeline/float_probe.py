"""The float network and a copy of it on which edits are tried: how far do the outputs move?"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from qdiag.batches import Batch
from qdiag.capture.program import Program
from qdiag.loaders.models.quiet import quiet_torch
from qdiag.savers.named_tensors import fill, tensors_of
from qdiag.simulate.task.tasks import Tasks
from qdiag.subject import Subject


@dataclass(frozen=True)
class Outputs:
    """Flat tensor outputs of one batch, of the network as it is and with the edits made."""

    batch: Batch
    before: tuple[Tensor, ...]
    after: tuple[Tensor, ...]


class FloatProbe:
    """Runs the network as the user has it, BatchNorm not folded, beside a copy with edits; both in eval mode.

    Args:
        subject: left as it is. program: the same network, captured. tasks: what it is judged by.
        after: the network to run beside it and to make the edits in, where that is another one; `program` is then its.
    """

    def __init__(
        self, subject: Subject, program: Program, tasks: Tasks, device: torch.device, after: Subject | None = None
    ) -> None:
        self.program, self.tasks, self._device = program, tasks, device
        self._before = _runnable(subject.model, device)
        self._after = _runnable((after or subject).model, device)
        unedited = self._before if after is None else _runnable(after.model, device)
        self.tensors: Mapping[str, Tensor] = tensors_of(unedited)
        """Those of the network that is edited, as it is; not to be written to."""
        self._changed = tensors_of(self._after)
        self._touched: set[str] = set()

    def run(self, batches: Iterable[Batch], changes: Mapping[str, Tensor]) -> Iterator[Outputs]:
        """Outputs of each batch before and after tensors got new values."""
        self._set(changes)
        for batch in batches:
            args, kwargs = _moved((batch.args, dict(batch.kwargs)), self._device)
            with torch.no_grad():
                yield Outputs(
                    batch, tensor_outputs(self._before(*args, **kwargs)), tensor_outputs(self._after(*args, **kwargs))
                )

    def _set(self, changed: Mapping[str, Tensor]) -> None:
        fill(self._changed, {name: changed.get(name, self.tensors[name]) for name in self._touched | set(changed)})
        self._touched = set(changed)


def largest_values(outputs: Sequence[Tensor]) -> list[float]:
    """Largest finite |value| of each float output."""
    return [_largest(x) for x in outputs if x.is_floating_point()]


def deltas(outputs: Outputs) -> list[float]:
    """Largest |difference| at each float output, where the value before is finite; inf where the one after is not."""
    pairs = zip(outputs.before, outputs.after, strict=True)
    found = []
    for before, after in pairs:
        if before.is_floating_point():
            difference = (after.double() - before.double()).abs()[before.isfinite()]
            found.append(float(difference.nan_to_num(nan=torch.inf).max()) if difference.numel() else 0.0)
    return found


def relative(delta: Sequence[float], scale: Sequence[float]) -> float:
    """The worst output's delta over its scale."""
    ratios = [d / s if s > 0.0 else (torch.inf if d > 0.0 else 0.0) for d, s in zip(delta, scale, strict=True)]
    return max(ratios, default=0.0)


def _largest(x: Tensor) -> float:
    finite = x[x.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def _runnable(model: nn.Module | ExportedProgram, device: torch.device) -> nn.Module:
    if isinstance(model, ExportedProgram):
        with quiet_torch():  # module() shares its tensors with the program, and programs warn about their own classes
            module: nn.Module = copy.deepcopy(model.module())
        return module.to(device)
    return copy.deepcopy(model).eval().to(device)


def tensor_outputs(outputs: Any) -> tuple[Tensor, ...]:
    """What a network gives, flat, without what is no tensor."""
    return tuple(leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor))


def _moved(tree: Any, device: torch.device) -> Any:
    return pytree.tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, Tensor) else leaf, tree)
