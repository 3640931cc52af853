"""Channels whose sums leave the accumulator of the runtime, and come out at its other end."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import fx

from qdiag.core.graph import Layer
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp, clamped
from qdiag.simulate.arithmetic.saturating import Wraps
from qdiag.simulate.arithmetic.table import arithmetic_of
from qdiag.simulate.passes.lanes import LOCAL, has_lanes, pick
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.weights import SimulatedWeights, simulated_weights

_LEAST_STEPS = 0.5
"""A smaller change of the output, in its steps, is lost in rounding."""


class WrapObserver(LayerObserver):
    """Adds up again, on the inputs of each layer alone, where anything can wrap: in few layers of few networks.

    Most of what wraps changes nothing: the scale is so small that 2^32 steps of it are less than one of the output's.

    Args:
        weights: see `PairObserver`.
    """

    carried = ("_channels",)

    def __init__(self, network: Network, plan: QuantPlan, weights: dict[str, SimulatedWeights] | None = None) -> None:
        self._network, self._plan = network, plan
        self._weights = weights if weights is not None else {}
        self._channels: dict[str, set[int]] = {}

    def merge(self, later: "WrapObserver") -> None:
        """See `Collector`."""
        for name, channels in later._channels.items():
            self._channels.setdefault(name, set()).update(channels)

    def before(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        arithmetic = arithmetic_of(self._plan, layer)
        if not isinstance(arithmetic, Wraps) or not has_lanes((args, kwargs)):
            return
        if layer.name not in self._weights:
            self._weights[layer.name] = simulated_weights(self._network, self._plan, layer)
        op = LayerOp(node, layer, self._weights[layer.name])
        if not arithmetic.can_wrap(op):
            return
        sums = arithmetic.sums(op, *pick((args, kwargs), LOCAL))
        axis = layer.channel_axis(sums.limited.ndim)
        assert axis is not None, "the output of a layer with weights has channels"
        moved = (clamped(sums.limited, layer) - clamped(sums.unlimited, layer)).abs()
        changed = (moved >= _LEAST_STEPS * float(arithmetic.output.scale)).movedim(axis, 0).flatten(1).any(1)
        self._channels.setdefault(layer.name, set()).update(torch.nonzero(changed).flatten().tolist())

    def channels(self) -> Mapping[str, tuple[int, ...]]:
        """Layer name to the channels whose output differs because a sum wrapped."""
        return {name: tuple(sorted(found)) for name, found in self._channels.items()}
