"""Channels whose sums leave the accumulator of the runtime, and come out at its other end."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import fx

from qdiag.core.graph import Layer
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.onnxruntime.products import WeightedSums
from qdiag.simulate.arithmetic.table import arithmetic_of
from qdiag.simulate.passes.lanes import LOCAL, has_lanes, pick
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.weights import SimulatedWeights, simulated_weights


class WrapObserver(LayerObserver):
    """Adds up again, on the inputs of each layer alone, where anything can wrap: in few layers of few networks."""

    def __init__(self, network: Network, plan: QuantPlan) -> None:
        self._network, self._plan = network, plan
        self._weights: dict[str, SimulatedWeights] = {}
        self._channels: dict[str, set[int]] = {}

    def before(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        arithmetic = arithmetic_of(self._plan, layer)
        if not isinstance(arithmetic, WeightedSums) or not has_lanes((args, kwargs)):
            return
        if layer.name not in self._weights:
            self._weights[layer.name] = simulated_weights(self._network, self._plan, layer)
        op = LayerOp(node, layer, self._weights[layer.name])
        if not arithmetic.can_wrap(op):
            return
        sums = arithmetic.sums(op, *pick((args, kwargs), LOCAL))
        axis = layer.channel_axis(sums.limited.ndim)
        assert axis is not None, "the output of a layer with weights has channels"
        changed = (sums.limited != sums.unlimited).movedim(axis, 0).flatten(1).any(1)
        self._channels.setdefault(layer.name, set()).update(torch.nonzero(changed).flatten().tolist())

    def channels(self) -> Mapping[str, tuple[int, ...]]:
        """Layer name to the channels in which a sum wrapped."""
        return {name: tuple(sorted(found)) for name, found in self._channels.items()}
