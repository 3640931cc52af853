"""Clamps that a writer left to the ends of the integers: Q and DQ alone took them away."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.model import OnnxGraph, OnnxNode
from qdiag.onnx.quantized.stored import ends_at, ends_at_zero

_SIGNED = (
    *("Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Sub", "Sum"),
    *("BatchNormalization", "InstanceNormalization", "LayerNormalization", "GroupNormalization"),
)
"""Operators whose values have both signs, so that a quantizer without negative numbers is a ReLU behind them."""
_BEFORE = "#before_relu"
_ZERO, _SIX, _HIGHEST = "#relu6_lowest", "#relu6_highest", 6.0


def with_clamps(graph: OnnxGraph, quantizers: Mapping[str, tuple[Affine, ...]]) -> tuple[OnnxGraph, tuple[str, ...]]:
    """The graph with a ReLU where the lowest integer of a quantizer stands for 0, and the tensors where that is so.

    It is a ReLU6 where the highest integer stands for 6 up to the digits of a float32: the largest of values that were
    seen is 6 only where a clamp made it so. Any other upper end is left: it may be that of the values that were seen.

    Args:
        quantizers: by tensor, those that it goes through.
    """
    nodes: list[OnnxNode] = []
    clamped: list[str] = []
    constants = dict(graph.constants)
    for node in graph.nodes:
        name = node.outputs[0] if node.outputs else ""
        if node.domain or node.op not in _SIGNED or not any(map(ends_at_zero, quantizers.get(name, ()))):
            nodes.append(node)
            continue
        clamped.append(name)
        nodes.append(replace(node, outputs=(name + _BEFORE, *node.outputs[1:])))
        if any(ends_at(one, _HIGHEST) for one in quantizers[name] if ends_at_zero(one)):
            constants |= {_ZERO: np.array(0.0, np.float32), _SIX: np.array(_HIGHEST, np.float32)}
            nodes.append(OnnxNode("Clip", "", f"{node.name}/relu6", (name + _BEFORE, _ZERO, _SIX), (name,), {}))
        else:
            nodes.append(OnnxNode("Relu", "", f"{node.name}/relu", (name + _BEFORE,), (name,), {}))
    return replace(graph, nodes=tuple(nodes), constants=constants), tuple(clamped)
