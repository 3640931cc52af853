"""From a finished paired pass to the records of its layers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from qdiag.capture.program import Program
from qdiag.core.graph import INPUT, OUTPUT, Layer
from qdiag.core.measures.float_ops import FloatOp, FloatShare
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.records import LayerErrorSums, OpRecord
from qdiag.plan import QuantPlan
from qdiag.simulate.case import Case
from qdiag.simulate.layerwise.observers import Seen
from qdiag.simulate.passes.paired import LayerErrors
from qdiag.simulate.passes.weights import SimulatedWeights, weight_record
from qdiag.simulate.runtime_differences import runtime_differences


def op_records(
    case: Case,
    observed: Seen,
    on_fewer: Mapping[str, LayerErrors],
    weights: Mapping[str, SimulatedWeights],
) -> tuple[OpRecord, ...]:
    """One record per layer whose output was ever a float tensor, in graph order.

    Args:
        observed: in the paired pass. on_fewer: errors of layers that it measured on more samples than the others, on
            the samples of these. weights: of its quantized network, by layer.
    """
    errors = observed.errors
    records, differences = list[OpRecord](), runtime_differences(case)
    for layer in case.network.graph.layers:
        if layer.name in errors:
            seen = case.observations.get(layer.name)
            record = _record(len(records), layer, case, errors[layer.name], weights.get(layer.name))
            record = replace(
                record,
                range=seen.statistics.range if seen else None,
                losses=observed.losses.get(layer.name),
                runtime_difference=differences.get(layer.name),
                arithmetic=observed.arithmetic.get(layer.name),
                pairs=observed.pairs.get(layer.name),
                on_fewer=_on_fewer(on_fewer.get(layer.name)),
            )
            records.append(record)
    return tuple(records)


def _record(index: int, layer: Layer, case: Case, errors: LayerErrors, weights: SimulatedWeights | None) -> OpRecord:
    constants = {constant.name for constant in case.network.graph.constants}
    return OpRecord(
        index=index,
        name=layer.name,
        kind="depthwise_conv" if layer.is_depthwise else layer.kind,
        module_path=layer.module_path,
        ops=layer.ops,
        inputs=tuple(name for name in layer.inputs if name not in constants),
        output_shape=errors.output_shape,
        local=errors.local,
        propagated=errors.propagated,
        quantizer=_quantizer(case.plan, layer),
        weight=weight_record(case.network, case.plan, layer, weights) if weights is not None else None,
        clipped_count=errors.clipped_count,
        operands=tuple(one.record() for one in case.plan.layers[layer.name].operands if one is not None),
        skip_reason=case.plan.layers[layer.name].skip_reason,
        groups=layer.groups,
        source=layer.source,
    )


def _on_fewer(errors: LayerErrors | None) -> LayerErrorSums | None:
    return LayerErrorSums(errors.local, errors.propagated) if errors is not None else None


def _quantizer(plan: QuantPlan, layer: Layer) -> QuantizerRecord | None:
    layer_plan = plan.layers[layer.name]
    if layer_plan.output is None:
        return None
    return replace(layer_plan.output.record(), shared_with=layer_plan.shared_with)


def float_ops(case: Case, mac_counts: Mapping[str, int]) -> tuple[tuple[FloatOp, ...], FloatShare]:
    """Every operation whose arithmetic stays in float although the scheme quantizes, and what all have together.

    Args:
        mac_counts: multiplications by layer.
    """
    plans, graph = case.plan.layers, case.network.graph
    left = [layer for layer in graph.layers if plans[layer.name].skip_reason and layer.kind not in (INPUT, OUTPUT)]
    sizes, total_macs = _weight_sizes(case.network.program), sum(mac_counts.values())
    read = {layer.name: _weights_read(case.network.program, layer) & set(sizes) for layer in left}

    def weight_fraction(names: set[str]) -> float:
        return sum(sizes[name] for name in names) / sum(sizes.values()) if names else 0.0

    def mac_fraction(layers: Sequence[Layer]) -> float:
        return sum(mac_counts.get(layer.name, 0) for layer in layers) / total_macs if total_macs else 0.0

    found = tuple(
        FloatOp(
            layer.name,
            layer.ops[0],
            plans[layer.name].skip_reason or "",
            weight_fraction(read[layer.name]),
            mac_fraction([layer]),
        )
        for layer in left
    )
    return found, FloatShare(weight_fraction(set().union(*read.values())), mac_fraction(left))


def _weight_sizes(program: Program) -> dict[str, int]:
    """Numbers of the network's matrices and kernels, by constant."""
    return {name: x.numel() for name, x in program.constants.items() if x.ndim > 1 and x.is_floating_point()}


def _weights_read(program: Program, layer: Layer) -> set[str]:
    """Constants that the operations of a layer read; one that several layers share counts once in a sum over them."""
    nodes = set(layer.nodes)
    return {str(i.target) for node in program.graph.nodes if node.name in nodes for i in node.all_input_nodes}
