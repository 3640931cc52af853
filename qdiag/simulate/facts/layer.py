"""Puts together what detectors look at beside the records, one row per layer."""

from collections.abc import Mapping

from qdiag.core.graph import Layer
from qdiag.core.measures.facts import InputFacts, LayerFacts, SignFacts, WeightFacts
from qdiag.simulate.case import Case
from qdiag.simulate.facts.bias import bias_facts
from qdiag.simulate.facts.inputs import input_facts
from qdiag.simulate.facts.observer import PassFacts
from qdiag.simulate.facts.signs import sign_facts
from qdiag.simulate.facts.weight import weight_facts


def gather_facts(
    case: Case,
    seen: Mapping[str, PassFacts],
    mac_counts: Mapping[str, int],
    wrapped: Mapping[str, tuple[int, ...]],
) -> tuple[LayerFacts, ...]:
    """The facts of every layer that the pass met, in graph order.

    Args:
        case: what was measured; its observations are of the calibration data.
        seen: `FactObserver.facts()` of the pass over the measured data. mac_counts: `MacObserver.counts()` of it.
        wrapped: `WrapObserver.channels()` of it.
    """
    layers = [layer for layer in case.network.graph.layers if layer.name in seen]
    return tuple(
        _facts(case, layer, seen[layer.name], mac_counts.get(layer.name, 0), wrapped.get(layer.name, ()))
        for layer in layers
    )


def _facts(case: Case, layer: Layer, seen: PassFacts, mac_count: int, wrapped: tuple[int, ...]) -> LayerFacts:
    graph, observation = case.network.graph, case.observations.get(layer.name)
    return LayerFacts(
        layer=layer.name,
        policy=layer.policy,
        clamp=layer.clamp,
        groups=layer.groups,
        consumers=tuple(reader.name for reader in graph.consumers(layer.name)),
        mac_count=mac_count,
        weight=_weight(case, layer),
        bias=bias_facts(case.network, case.plan, layer, wrapped),
        channels=observation.channels if observation is not None else None,
        measured_range=seen.measured_range,
        mean_shift_fraction=seen.mean_shift_fraction,
        saturated_at_bound_fraction=seen.saturated_at_bound_fraction,
        channel_sqnr_db_median=seen.channel_sqnr_db_median,
        inputs=_inputs(case, layer, seen),
        outputs=_outputs(case, layer),
        signs=_signs(case, layer),
    )


def _outputs(case: Case, layer: Layer) -> tuple[str, ...]:
    program, sources = case.network.program, case.network.graph.sources
    nodes = list(program.graph.nodes)[-1].args[0]
    assert isinstance(nodes, tuple | list)
    pairs = zip(program.output_names, nodes, strict=True)
    return tuple(name for name, node in pairs if layer.name in sources.get(str(getattr(node, "name", "")), ()))


def _inputs(case: Case, layer: Layer, seen: PassFacts) -> InputFacts | None:
    if layer.weight is None or seen.inputs is None:
        return None
    return input_facts(layer, case.network.program.constants[layer.weight], seen.inputs)


def _signs(case: Case, layer: Layer) -> SignFacts | None:
    if layer.weight is None:
        return None
    weight = case.network.program.constants[layer.weight]
    return sign_facts(weight, layer.weight_axis, case.plan.layers[layer.name].weight)


def _weight(case: Case, layer: Layer) -> WeightFacts | None:
    if layer.weight is None:
        return None
    quantizer, scheme = case.plan.layers[layer.name].weight, case.plan.scheme.weights_of(layer.name)
    is_conv = layer.kind in ("conv", "depthwise_conv") and layer.weight_axis == 0
    return weight_facts(
        case.network.program.constants[layer.weight],
        layer.weight_axis,
        scheme if quantizer is not None and layer.weight_format is None else None,
        layer.groups if is_conv else None,
    )
