"""Weights of many variants, equal ones as one object, so that what is computed with them can be shared."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.simulate.case import Case
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.weights import SimulatedWeights, simulated_weights


@dataclass(frozen=True)
class LayerWeights:
    """One layer's weight and bias in the float network and in each variant."""

    reference: SimulatedWeights
    simulated: list[SimulatedWeights]


def layer_weights(reference: Network, cases: Sequence[Case]) -> dict[str, LayerWeights]:
    """Weights by layer; equal ones are the same objects, so that what is computed with them can be shared."""
    found = {}
    for layer in reference.graph.layers:
        if layer.weight is None:
            continue
        constants = reference.program.constants
        own = SimulatedWeights(constants[layer.weight], constants[layer.bias] if layer.bias else None)
        made: dict[object, SimulatedWeights] = {}
        simulated = []
        for case in cases:
            at = _weights_key(case, layer)
            if at not in made:
                new = simulated_weights(case.network, case.plan, layer)
                is_own = _same(new.weight, own.weight) and _same(new.bias, own.bias)
                made[at] = own if is_own else _shared(new, [own, *made.values()])
            simulated.append(made[at])
        found[layer.name] = LayerWeights(own, simulated)
    return found


def _weights_key(case: Case, layer: Layer) -> object:
    """Equal for cases that give a layer the same simulated weight and bias."""
    plan, constants = case.plan.layers[layer.name], case.network.program.constants
    source = case.plan.layers[layer.inputs[0]].output if layer.inputs else None
    return (
        id(constants[layer.weight]) if layer.weight else None,
        id(constants[layer.bias]) if layer.bias else None,
        plan.weight.key if plan.weight else None,
        source.key if source and (layer.bias or plan.bias_shift is not None) else None,
        id(plan.bias_shift) if plan.bias_shift is not None else None,
        plan.bias or case.plan.scheme.bias_of(layer.name),
    )


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b or (a is not None and b is not None and a.shape == b.shape and torch.equal(a, b))


def _shared(new: SimulatedWeights, others: Sequence[SimulatedWeights]) -> SimulatedWeights:
    """The same values, with the tensors of others where these are equal: one weight, several biases."""
    weight = next((o.weight for o in others if _same(o.weight, new.weight)), new.weight)
    bias = next((o.bias for o in others if _same(o.bias, new.bias)), new.bias)
    return SimulatedWeights(weight, bias)


def differing_constants(reference: Network, cases: Sequence[Case]) -> dict[str, list[Tensor]]:
    """Constants that some variant has otherwise, by name, one value per variant."""
    found = {}
    for name, value in reference.program.constants.items():
        others = [case.network.program.constants.get(name, value) for case in cases]
        shared = [value if _same(value, other) else other for other in others]
        if any(other is not value for other in shared):
            found[name] = shared
    return found
