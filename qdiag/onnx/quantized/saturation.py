"""Clamps that a writer left to the ends of the integers: Q and DQ alone took them away."""

from collections.abc import Mapping
from dataclasses import replace

from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.model import OnnxGraph, OnnxNode
from qdiag.onnx.quantized.stored import ends_at_zero

_SIGNED = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Sum"),
    *("BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization"),
)
"""Operators whose values have both signs, so that a quantizer without negative numbers is a ReLU behind them."""
_BEFORE = "#before_relu"


def with_clamps(graph: OnnxGraph, quantizers: Mapping[str, tuple[Affine, ...]]) -> tuple[OnnxGraph, tuple[str, ...]]:
    """The graph with a ReLU where the lowest integer of a quantizer stands for 0, and the tensors where that is so.

    An upper end is left: a range that ends at 6 may be that of a ReLU6, or of the values that were seen.

    Args:
        quantizers: by tensor, those that it goes through.
    """
    nodes: list[OnnxNode] = []
    clamped: list[str] = []
    for node in graph.nodes:
        name = node.outputs[0] if node.outputs else ""
        if node.domain or node.op not in _SIGNED or not any(map(ends_at_zero, quantizers.get(name, ()))):
            nodes.append(node)
            continue
        clamped.append(name)
        nodes.append(replace(node, outputs=(name + _BEFORE, *node.outputs[1:])))
        nodes.append(OnnxNode("Relu", "", f"{node.name}/relu", (name + _BEFORE,), (name,), {}))
    return replace(graph, nodes=tuple(nodes)), tuple(clamped)
