"""Weights of many lanes, equal ones as one object, so that what is computed with them can be shared."""

from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.simulate.passes.integer_weights import IntegerWeights
from qdiag.simulate.passes.lanes import Lane
from qdiag.simulate.passes.network import place
from qdiag.simulate.passes.weights import SimulatedWeights, float_weights, simulated_weights

LaneWeights = Mapping[str, Sequence[SimulatedWeights]]
"""By layer with weights, those of each lane."""


def lane_weights(layers: Sequence[Layer], lanes: Sequence[Lane]) -> LaneWeights:
    """Weight and bias of every layer that has some, in each lane; equal ones are the same objects."""
    return {layer.name: _of_layer(layer, lanes) for layer in layers if layer.weight is not None}


def _of_layer(layer: Layer, lanes: Sequence[Lane]) -> list[SimulatedWeights]:
    made: dict[Hashable, SimulatedWeights] = {}
    for lane in lanes:
        at = _key(lane, layer)
        if at not in made:
            made[at] = _shared(_weights(lane, layer), list(made.values()))
    return [made[_key(lane, layer)] for lane in lanes]


def _weights(lane: Lane, layer: Layer) -> SimulatedWeights:
    plan = lane.plan_at(layer.name)
    return float_weights(lane.network, layer) if plan is None else simulated_weights(lane.network, plan, layer)


def _key(lane: Lane, layer: Layer) -> Hashable:
    """Equal for lanes that give a layer the same weight and bias."""
    constants = lane.network.program.constants
    own = (id(constants[layer.weight or ""]), id(constants[layer.bias]) if layer.bias else None)
    whole = lane.plan_at(layer.name)
    if whole is None:
        return own
    plan = whole.layers[layer.name]
    has_bias = layer.bias is not None or plan.bias_shift is not None
    rules = whole.scheme.arithmetic, whole.scheme.pair_saturation
    operands = whole.integer_operands(layer) if has_bias or rules != ("float", False) else None
    return (
        *own,
        plan.weight.key if plan.weight is not None else None,
        operands[0].key if operands is not None else None,
        id(plan.bias_shift) if plan.bias_shift is not None else None,
        plan.bias or whole.scheme.bias_of(layer.name),
        id(plan.stored_bias) if plan.stored_bias is not None else None,
        rules,
    )


def _shared(new: SimulatedWeights, others: Sequence[SimulatedWeights]) -> SimulatedWeights:
    """The same values, with the tensors of others where these are equal: one weight, several biases."""
    weight = next((o.weight for o in others if _same(o.weight, new.weight)), new.weight)
    bias = next((o.bias for o in others if _same(o.bias, new.bias)), new.bias)
    integers = next((o.integers for o in others if _same_integers(o.integers, new.integers)), new.integers)
    return SimulatedWeights(weight, bias, integers)


def _same_integers(a: IntegerWeights | None, b: IntegerWeights | None) -> bool:
    return a is b or (a is not None and b is not None and _same(a.weight, b.weight) and _same(a.bias, b.bias))


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b or (a is not None and b is not None and a.shape == b.shape and torch.equal(a, b))


def _of_plan(lane: Lane) -> dict[str, Tensor]:
    """What the plan has in place of constants of the network."""
    if lane.plan is None:
        return {}
    device = lane.network.device
    return {name: place(own, device) for one in lane.plan.layers.values() for name, own in one.constants.items()}


def differing_constants(lanes: Sequence[Lane]) -> dict[str, list[Tensor]]:
    """Constants that some lane has otherwise than the first, by name, one value per lane."""
    reference, *others = lanes
    planned = [_of_plan(lane) for lane in others]
    if all(lane.network is reference.network for lane in others) and not any(planned):
        return {}
    found = {}
    for name, value in reference.network.program.constants.items():
        values = [
            own.get(name, lane.network.program.constants.get(name, value))
            for lane, own in zip(others, planned, strict=True)
        ]
        shared = [value, *(value if _same(value, other) else other for other in values)]
        if any(other is not value for other in shared):
            found[name] = shared
    return found
