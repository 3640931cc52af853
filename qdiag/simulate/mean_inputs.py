"""The mean image that each layer with weights reads, from which the mean of its output follows for any weights.

Without its bias a layer is linear: the mean of its output over the samples is its output for the mean of its input.
Many corrections of biases ask for that of the same float network, under one plan after another whose quantizers at the
inputs of layers are the same.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.batches import Batches
from qdiag.core.by_identity import ByIdentity
from qdiag.core.graph import Layer
from qdiag.core.progress import Progress
from qdiag.distributed.processes import ONE, Processes
from qdiag.numerics.layout import dense, flat_alike
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.rounded_operands import rounded_operands
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import REFERENCE, Lane, pick
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.spread import identity
from qdiag.simulate.passes.weights import SimulatedWeights

_PIECE = 1 << 16
"""Elements of an image that are quantized and added at a time: 256 KiB."""
_LARGEST = 1 << 22
"""Elements of an image that is kept; layers that read larger ones are computed sample by sample."""


@dataclass(frozen=True)
class MeanInput:
    """The mean of what a layer reads, as the plan quantizes it, (1, ...), and the other arguments of its operation."""

    node: fx.Node
    layer: Layer
    image: Tensor
    others: tuple[Any, ...]
    kwargs: dict[str, Any]

    def mean_output(self, weight: Tensor) -> Tensor:
        """Mean of the layer's output per channel for this weight without a bias, (C,) in float64."""
        op = LayerOp(self.node, self.layer, SimulatedWeights(weight, None))
        output: Tensor = FAKE_QUANTIZED.run(op, (self.image, *self.others), self.kwargs)
        axis = self.layer.channel_axis(output.ndim) or 0
        summed = [i for i in range(output.ndim) if i != axis]
        return output.double().mean(summed) if summed else output.double()


Place = tuple[str, Hashable, tuple[int, int]]
"""A layer, the quantizer of what it reads, and the data."""


class MeanInputs:
    """What was seen of each network, for as long as the network lives."""

    def __init__(self) -> None:
        self._seen: ByIdentity[dict[Place, MeanInput]] = ByIdentity()
        self._data: dict[tuple[int, int], Batches] = {}

    def of(
        self,
        network: Network,
        plan: QuantPlan,
        batches: Batches,
        names: Collection[str],
        progress: Progress,
        processes: Processes = ONE,
    ) -> dict[str, MeanInput]:
        """The mean inputs of the named layers, those of all layers seen in one float pass where some are missing.

        Layers whose input has no axis of samples, is very large, or is cut into blocks as it is read are left out.
        """
        seen = self._seen.once(network, dict)
        self._data[identity(batches)] = batches  # so that no other data get its identity
        wanted = {name: place for name in names if (place := _place(network, plan, batches, name)) is not None}
        if any(place not in seen for place in wanted.values()):
            observer = _Inputs(plan, network.device)
            runner = LaneRunner([Lane(network)], [observer])
            run_batches(runner, batches, progress, stage="mean inputs", processes=processes)
            everywhere = {layer.name for layer in network.graph.layers}
            found = observer.found()
            places = {name: _place(network, plan, batches, name) for name in everywhere}
            seen.update({place: found[name] for name, place in places.items() if place is not None and name in found})
        return {name: seen[place] for name, place in wanted.items() if place in seen}


def _place(network: Network, plan: QuantPlan, batches: Batches, name: str) -> Place | None:
    layer = network.graph.layer(name)
    if layer.weight is None or rounded_operands(plan, layer) is not None:
        return None
    source = plan.layers[layer.inputs[0]].output if layer.inputs else None
    return name, source.key if source is not None else None, identity(batches)


class _Inputs(LayerObserver):
    """Adds up what layers with weights read, over the samples."""

    carried = ("_sums", "_odd", "_count")

    def __init__(self, plan: QuantPlan, device: torch.device) -> None:
        self._device = device
        self._plan, self._sums, self._count = plan, dict[str, Tensor](), 0
        self._calls: dict[str, tuple[fx.Node, Layer, tuple[Any, ...], dict[str, Any]]] = {}
        self._odd: set[str] = set()

    def begin(self, sample_count: int) -> None:
        super().begin(sample_count)
        self._count += sample_count

    def before(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if layer.weight is None or layer.name in self._odd:
            return
        x, *others = pick(args, REFERENCE)
        known = self._sums.get(layer.name)
        is_image = isinstance(x, Tensor) and x.ndim > 1 and x.shape[0] == self.sample_count
        if not is_image or x[0].numel() > _LARGEST or (known is not None and known.shape[1:] != x.shape[1:]):
            self._leave_out(layer.name)
            return
        source = self._plan.layers[layer.inputs[0]].output if layer.inputs else None
        total = (x.sum(0, keepdim=True) if source is None else quantized_sum(dense(x), source)).double()
        self._sums[layer.name] = total if known is None else known + total
        rest = {key: value for key, value in pick(((), kwargs), REFERENCE)[1].items() if key != "bias"}
        self._calls[layer.name] = node, layer, tuple(others), rest

    def _leave_out(self, name: str) -> None:
        self._odd.add(name)
        self._sums.pop(name, None)

    def merge(self, later: "_Inputs") -> None:
        """See `Collector`."""
        self._count += later._count
        for name in self._odd | later._odd:
            self._leave_out(name)
        for name, total in later._sums.items():
            known = self._sums.get(name)
            if name in self._odd or (known is not None and known.shape != total.shape):
                self._leave_out(name)
            else:
                self._sums[name] = total if known is None else known + total

    def found(self) -> dict[str, MeanInput]:
        """Layer name to the mean of its input, float32."""
        found = {}
        for name, total in self._sums.items():
            node, layer, others, kwargs = self._calls[name]
            image = (total / max(self._count, 1)).float().to(self._device)
            found[name] = MeanInput(node, layer, image, others, kwargs)
        return found


def quantized_sum(images: Tensor, quantizer: Quantizer) -> Tensor:
    """Sum over the first axis of quantized images, (1, ...); on a CPU piece by piece, so that none leaves the cache."""
    if images.device.type != "cpu" or not images.numel():
        return quantizer.fake_quantize(images).sum(0, keepdim=True)
    total = torch.zeros_like(images[:1])
    (flat,), (added,) = flat_alike(images), flat_alike(total)
    for start in range(0, added.numel(), _PIECE):
        part = added[start : start + _PIECE]
        piece = torch.empty_like(part)
        for row in flat.view(images.shape[0], -1):
            quantizer.fake_quantize_chunk(row[start : start + _PIECE], piece)
            part += piece
    return total
