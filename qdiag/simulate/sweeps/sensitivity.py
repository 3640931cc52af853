"""Plans in which one layer stands alone: its quantizers on and all others off, or the other way round."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from qdiag.core.measures.sensitivity import SensitivityPart
from qdiag.plan import LayerPlan, QuantPlan
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.table import in_real_numbers
from qdiag.simulate.case import Case


def switchable_layers(case: Case, part: SensitivityPart) -> tuple[str, ...]:
    """Layers with a quantizer of their own to switch, in graph order."""
    found = []
    for layer in case.network.graph.layers:
        plan = case.plan.layers[layer.name]
        has_output = (plan.output is not None and plan.shared_with is None) or bool(plan.operands)
        if (part != "activations" and plan.weight is not None) or (part != "weights" and has_output):
            found.append(layer.name)
    return tuple(found)


def alone(case: Case, name: str, part: SensitivityPart) -> Case:
    """Only the quantizers of one layer, of its constant operands, and of those that share its output's (pooling)."""
    parted = part_only(case, part)
    off = {layer: LayerPlan() for layer in case.plan.layers}
    return _switched(parted, {**off, **{other: parted.plan.layers[other] for other in _together(case, name)}})


def all_but(case: Case, name: str, part: SensitivityPart) -> Case:
    """All quantizers of the part, except those of one layer."""
    return all_but_these(part_only(case, part), (name,))


def all_but_these(case: Case, names: Collection[str]) -> Case:
    """All quantizers, except those of some layers, of their constant operands, and of those that share their outputs'.

    Where a layer's output has the quantizer of another one, that is off too.
    """
    off = {other: LayerPlan(float_reason="left out") for other in layers_with(case, names)}
    return _switched(case, {**case.plan.layers, **off})


def layers_with(case: Case, names: Collection[str]) -> tuple[str, ...]:
    """The layers, those whose quantizer stands at their output, and those that these are switched together with."""
    owners = [case.plan.layers[name].shared_with or name for name in names]
    return tuple(dict.fromkeys(other for name in (*names, *owners) for other in _together(case, name)))


def part_only(case: Case, part: SensitivityPart) -> Case:
    """All quantizers of weights, of activations, or both."""
    layers = {name: _part(plan, part) for name, plan in case.plan.layers.items()}
    return replace(case, plan=QuantPlan(case.plan.scheme, layers))


def _switched(parted: Case, layers: dict[str, LayerPlan]) -> Case:
    """The case with other plans for its layers; a layer keeps its arithmetic wherever its weight is on."""
    for layer in parted.network.graph.layers:
        operands = parted.plan.integer_operands(layer)
        is_exact = in_real_numbers(parted.plan, layer) is FAKE_QUANTIZED
        if operands is not None and not is_exact and layers[layer.name].weight is not None:
            layers[layer.name] = replace(layers[layer.name], source=operands[0])
    return replace(parted, plan=QuantPlan(parted.plan.scheme, layers))


def _part(plan: LayerPlan, part: SensitivityPart) -> LayerPlan:
    if part == "weights":
        return replace(plan, output=None, shared_with=None, operands=())
    return replace(plan, weight=None) if part == "activations" else plan


def _together(case: Case, name: str) -> Iterable[str]:
    graph = case.network.graph
    operands = {constant.name for constant in graph.constants}.intersection(graph.layer(name).inputs)
    plans = case.plan.layers.items()
    return [other for other, own in plans if other == name or other in operands or own.shared_with == name]
