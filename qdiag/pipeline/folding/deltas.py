"""The float network folded beside the one that is not: at its outputs, and at each layer that took a BatchNorm in."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.batches import Batch
from qdiag.capture.fold import FoldResult
from qdiag.capture.program import Program, Runner
from qdiag.pipeline.float_probe import Outputs, deltas, largest_values


@dataclass
class Moved:
    """Largest |difference| and largest finite |value|, over all batches so far."""

    delta: float = 0.0
    scale: float = 0.0

    def add(self, delta: float, scale: float) -> None:
        self.delta, self.scale = max(self.delta, delta), max(self.scale, scale)

    @property
    def relative(self) -> float:
        return self.delta / self.scale if self.scale > 0.0 else (torch.inf if self.delta > 0.0 else 0.0)


@dataclass
class FoldDeltas:
    """What folding does to the float values.

    Attributes:
        outputs: one per float output of the program. layers: by graph node of the layer.
    """

    outputs: list[Moved] = field(default_factory=list)
    layers: dict[str, Moved] = field(default_factory=dict)


@dataclass(frozen=True)
class _Stretch:
    """A layer and the BatchNorms that it took in, one behind the other; nodes by name."""

    layer: str
    first: str
    end: str


def fold_deltas(program: Program, result: FoldResult, batches: Iterable[Batch], device: torch.device) -> FoldDeltas:
    """Both networks on all batches.

    Args:
        program: not folded. result: what folding it gave. batches: on the device.
    """
    unfolded, folded = _on(program, device), Runner(_on(result.program, device))
    beside = _Beside(unfolded, folded.program, _stretches(program, result))
    found = beside.deltas
    with torch.no_grad():
        for batch in batches:
            outputs = Outputs(batch, beside(batch.args, batch.kwargs), folded(batch.args, batch.kwargs))
            moved, largest = deltas(outputs), largest_values(outputs.before)
            found.outputs = found.outputs or [Moved() for _ in moved]
            for one, delta, scale in zip(found.outputs, moved, largest, strict=True):
                one.add(delta, scale)
    return found


def _stretches(program: Program, result: FoldResult) -> list[_Stretch]:
    order = {node.name: i for i, node in enumerate(program.graph.nodes)}
    by_layer: dict[str, list[str]] = {}
    for pair in result.pairs:
        if pair.layer is not None and pair.kept is None:
            by_layer.setdefault(pair.layer, [pair.layer]).append(pair.norm)
    return [
        _Stretch(layer, min(nodes, key=order.__getitem__), max(nodes, key=order.__getitem__))
        for layer, nodes in by_layer.items()
    ]


def _on(program: Program, device: torch.device) -> Program:
    return replace(program, constants={name: value.to(device) for name, value in program.constants.items()})


class _Beside(Runner):
    """Runs the network that is not folded, and beside each stretch the folded layer on the very same input."""

    def __init__(self, program: Program, folded: Program, stretches: Sequence[_Stretch]) -> None:
        super().__init__(program)
        self._folded = folded
        self._layers: Mapping[str, fx.Node] = {node.name: node for node in folded.graph.nodes}
        self._starts = {stretch.first: stretch for stretch in stretches}
        self._ends = {stretch.end: stretch for stretch in stretches}
        self._waiting: dict[str, Tensor] = {}
        self.deltas = FoldDeltas(layers={stretch.layer: Moved() for stretch in stretches})

    def run_node(self, n: fx.Node) -> Any:
        """As always; the folded layer runs where its stretch begins, and is compared where it ends."""
        value = super().run_node(n)
        if n.name in self._starts:
            source = n.args[0]
            assert isinstance(source, fx.Node)
            self._waiting[self._starts[n.name].layer] = self._folded_layer(self._starts[n.name], self.env[source])
        if n.name in self._ends:
            layer = self._ends[n.name].layer
            both = Outputs(Batch(()), (value,), (self._waiting.pop(layer),))
            self.deltas.layers[layer].add(max(deltas(both), default=0.0), max(largest_values(both.before), default=0.0))
        return value

    def _folded_layer(self, stretch: _Stretch, x: Tensor) -> Tensor:
        node = self._layers[stretch.layer]
        rest = fx.node.map_arg(node.args[1:], lambda constant: self._folded.constants[str(constant.target)])
        value: Tensor = node.target(x, *rest, **node.kwargs)  # type: ignore[operator]
        return value
