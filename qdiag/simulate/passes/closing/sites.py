"""How each lane closes the output of every layer."""

from collections.abc import Mapping, Sequence

from qdiag.core.graph import Layer, OpGraph
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.simulate.arithmetic.table import closing_quantizer
from qdiag.simulate.passes.closing.site import Site, Step
from qdiag.simulate.passes.lanes import REFERENCE, Lane


def closing_sites(graph: OpGraph, lanes: Sequence[Lane]) -> Mapping[str, Site]:
    """By layer, constants among them; all lanes have this graph."""
    by_lane = [{layer.name: layer.clamp for layer in lane.network.graph.sites} for lane in lanes]
    closes, found = lanes[REFERENCE].closes or {}, {}
    for layer in graph.sites:
        quantizers = [_quantizer(lane, layer) for lane in lanes]
        steps = [Step.of(q, clamps[layer.name]) for q, clamps in zip(quantizers, by_lane, strict=True)]
        starts = {i: _start(graph, lane, layer) for i, lane in enumerate(lanes) if lane.is_local}
        found[layer.name] = Site(steps, starts, closes.get(layer.name))
    return found


def _quantizer(lane: Lane, layer: Layer) -> Quantizer | None:
    plan = lane.plan_at(layer.name)
    return closing_quantizer(plan, layer) if plan is not None else None


def _start(graph: OpGraph, lane: Lane, layer: Layer) -> Quantizer | None:
    """Of what a lane hands to the next layers, where it computes one of them; None hands on the reference."""
    is_read = lane.at is None or any(reader.name in lane.at for reader in graph.consumers(layer.name))
    return closing_quantizer(lane.plan, layer) if lane.plan is not None and is_read else None
