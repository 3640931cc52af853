"""Which operations of a run clamp what they write themselves, in which lane."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.base import Clamp
from qdiag.numerics.waiting import is_at_hand
from qdiag.simulate.arithmetic.base import Arithmetic
from qdiag.simulate.arithmetic.clamped_convolution import CONVOLUTION, can_clamp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.passes.clamping.magnitudes import UNKNOWN, Closing, Products, largest, largest_values
from qdiag.simulate.passes.closing.site import Site
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.weights import SimulatedWeights

_LIMIT = 65536.0
"""Inputs of a network that are no larger are bounded; of others nothing is known."""
OwnClamps = Mapping[str, Sequence[Clamp | None]]
"""By node, what the operation does itself in each lane."""
_Ways = Sequence[tuple[Arithmetic, SimulatedWeights | None]]


class Clamping:
    """Clamps of convolutions on a CPU whose sums cannot be NaN, which oneDNN would take for a number.

    Args:
        ways, sites: of each layer, by name.
    """

    def __init__(self, network: Network, ways: Mapping[str, _Ways], sites: Mapping[str, Site]) -> None:
        self._clamps: dict[str, Sequence[Clamp | None]] = {}
        self._layers = {layer.nodes[0]: layer.name for layer in network.graph.layers}
        self._constants = network.program.constants
        layers = [layer for layer in network.graph.layers if is_at_hand(network.device) and layer.name in sites]
        found = {layer.nodes[0]: _clamps(network, layer, ways[layer.name], sites[layer.name]) for layer in layers}
        if not any(any(clamps) for clamps in found.values()):
            return
        products = {layer.nodes[0]: _products(layer, ways[layer.name]) for layer in layers}
        ends = {layer.output: _closing(sites[layer.name]) for layer in network.graph.sites}
        known = {node: one for node, one in products.items() if one is not None}
        bounds = largest_values(network.program.graph, _LIMIT, self._constants, known, ends)
        self._clamps = {node: one for node, one in found.items() if any(one) and bounds[node] < UNKNOWN}

    def of_batch(self, inputs: Mapping[str, Any], observers: Sequence[LayerObserver]) -> OwnClamps:
        """All but those of layers that an observer reads before they are clamped; none where an input is large or not
        finite.
        """
        readers = [observer for observer in observers if observer.reads_opened]
        clamps = {n: own for n, own in self._clamps.items() if not any(one.sees(self._layers[n]) for one in readers)}
        own = (x for name, x in inputs.items() if name not in self._constants and isinstance(x, Tensor))
        return clamps if clamps and all(x.dtype == torch.float32 and largest(x) <= _LIMIT for x in own) else {}


def shared_clamps(places: Sequence[Hashable], clamps: Sequence[Clamp | None] | None) -> Mapping[Hashable, Clamp]:
    """By place, where all lanes that share its result clamp alike."""
    if clamps is None:
        return {}
    asked: dict[Hashable, set[Clamp | None]] = {}
    for at, clamp in zip(places, clamps, strict=True):
        asked.setdefault(at, set()).add(clamp)
    return {at: clamp for at, few in asked.items() if len(few) == 1 for clamp in few if clamp is not None}


def _clamps(network: Network, layer: Layer, ways: _Ways, site: Site) -> Sequence[Clamp | None]:
    is_whole = len(layer.nodes) == 1 + (layer.clamp is not None)
    if not is_whole or network.node(layer.nodes[0]).target != CONVOLUTION:
        return []
    return [
        first if arithmetic is FAKE_QUANTIZED and can_clamp(first) else None
        for (arithmetic, _), first in zip(ways, site.firsts, strict=True)
    ]


def _products(layer: Layer, ways: _Ways) -> Products | None:
    """None where a lane has no weights, or adds up otherwise than float does."""
    weights = {one.identity: one for arithmetic, one in ways if one is not None and arithmetic is FAKE_QUANTIZED}
    is_known = all(one is not None and arithmetic is FAKE_QUANTIZED for arithmetic, one in ways)
    if layer.kind not in ("conv", "linear") or not is_known:
        return None
    sums, biases = [one.largest_sum for one in weights.values()], [largest(one.bias) for one in weights.values()]
    found = Products(max(sums), max(biases))
    return found if all(map(math.isfinite, (*sums, *biases))) else None


def _closing(site: Site) -> Closing:
    quantized, clamped = 0.0, 0.0
    for step in site.steps:
        if step.quantizer is not None:
            ends = step.quantizer.ends
            quantized = max(quantized, *map(abs, ends)) if ends is not None else UNKNOWN
        else:
            clamped = max(clamped, *map(abs, step.clamp)) if step.clamp is not None else UNKNOWN
    return Closing(quantized, clamped)
