"""Bytes of a network under its plan."""

from collections.abc import Callable, Mapping
from math import prod

from torch import Tensor

from qdiag.core.graph import INPUT, Layer
from qdiag.core.measures.size import NetworkBytes, NetworkSize
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.simulate.case import Case

_FLOAT_BYTES = 4
_BIAS_BYTES = {"int32": 4, "int64": 8, "float": _FLOAT_BYTES}


def network_size(case: Case) -> NetworkSize:
    """What the case's network takes in float32 and under its plan.

    A weight takes its bits packed, rounded up to whole bytes per tensor. A tensor that several layers share counts
    once. Quantizers at outputs that are not the layer's own have no numbers of their own.
    """
    constants = _float_constants(case)
    reference = NetworkBytes(
        sum(_FLOAT_BYTES * tensor.numel() for tensor in constants.values()), 0, _peak(case, lambda layer: None)
    )
    quantizers = _constant_quantizers(case)
    biases = _bias_bytes(case)
    weights = sum(
        biases[name] * tensor.numel() if name in biases else stored_bytes(quantizers.get(name), tensor.numel())
        for name, tensor in constants.items()
    )
    scales = sum(
        quantizer.scale_bytes(constants[name].shape) for name, quantizer in quantizers.items() if name in constants
    )
    plans = case.plan.layers
    for layer in case.network.graph.layers:
        output = plans[layer.name].output
        if output is not None and plans[layer.name].shared_with is None:
            scales += output.scale_bytes(_shape(case, layer))
    peak = _peak(case, lambda layer: plans[layer.name].output, _only_compared(case))
    return NetworkSize(reference, NetworkBytes(weights, scales, peak))


def stored_bytes(quantizer: Quantizer | None, element_count: int) -> int:
    """Of a tensor, its values packed; in float32 without a quantizer."""
    return _FLOAT_BYTES * element_count if quantizer is None else -(-quantizer.record().bits * element_count // 8)


def _float_constants(case: Case) -> dict[str, Tensor]:
    """What operations of the network read, by constant."""
    program = case.network.program
    read = {node.target for node in program.graph.nodes if node.op == "placeholder" and node.users}
    return {name: x for name, x in program.constants.items() if name in read and x.is_floating_point()}


def _constant_quantizers(case: Case) -> dict[str, Quantizer]:
    """Quantizers of weights, and of constants that meet data as an operand."""
    plans, graph = case.plan.layers, case.network.graph
    found = {}
    for layer in graph.layers:
        weight = plans[layer.name].weight
        if layer.weight is not None and weight is not None:
            found[layer.weight] = weight
    targets = {node.name: str(node.target) for node in case.network.program.graph.nodes}
    for constant in graph.constants:
        output = plans[constant.name].output
        if output is not None:
            found[targets[constant.output]] = output
    return found


def _bias_bytes(case: Case) -> dict[str, int]:
    """Bytes per value of every bias of a layer with a quantized weight, by constant."""
    plans = case.plan.layers
    return {
        layer.bias: _BIAS_BYTES[plans[layer.name].bias or case.scheme.bias_of(layer.name)]
        for layer in case.network.graph.layers
        if layer.bias is not None and plans[layer.name].weight is not None
    }


def _peak(case: Case, quantizer_of: Callable[[Layer], Quantizer | None], unstored: frozenset[str] = frozenset()) -> int:
    """Most bytes of activations that are held at one time, for one sample; those of some layers are never stored."""
    graph = case.network.graph
    sizes = {
        layer.name: 0 if layer.name in unstored else stored_bytes(quantizer_of(layer), _element_count(case, layer))
        for layer in graph.layers
    }
    last = _last_readers(case)
    held = most = 0
    ends: dict[int, int] = {}
    for i, layer in enumerate(graph.layers):
        held += sizes[layer.name]
        ends[last[layer.name]] = ends.get(last[layer.name], 0) + sizes[layer.name]
        most = max(most, held)
        held -= ends.pop(i, 0)
    return most


def _only_compared(case: Case) -> frozenset[str]:
    """Layers without a quantizer that nothing but signs read: a sum is compared with a threshold where it is made."""
    graph, found = case.network.graph, set[str]()
    for layer in graph.layers:
        plan, readers = case.plan.layers[layer.name], graph.consumers(layer.name)
        is_read = bool(readers) and all(reader.sign_magnitude is not None for reader in readers)
        if is_read and plan.output is None and plan.skip_reason is None and layer.kind != INPUT:
            found.add(layer.name)
    return frozenset(found)


def _last_readers(case: Case) -> Mapping[str, int]:
    """Layer name to the position of the last layer that reads it; what the network returns is kept to the end."""
    graph = case.network.graph
    last = {layer.name: i for i, layer in enumerate(graph.layers)}
    for i, layer in enumerate(graph.layers):
        last.update({name: i for name in layer.inputs if name in last})
    for node in case.network.program.graph.nodes:
        for returned in node.all_input_nodes if node.op == "output" else ():
            last.update({name: len(graph.layers) - 1 for name in graph.sources.get(returned.name, ()) if name in last})
    return last


def _element_count(case: Case, layer: Layer) -> int:
    """Values of one sample at the layer's output; 0 where that is never a float tensor."""
    return prod(_shape(case, layer)) if layer.name in case.observations else 0


def _shape(case: Case, layer: Layer) -> tuple[int, ...]:
    """Of one sample at the layer's output."""
    seen = case.observations.get(layer.name)
    return tuple(seen.shape) if seen is not None else ()
