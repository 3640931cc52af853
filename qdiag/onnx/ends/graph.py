"""The end of an ONNX network: which of its nodes choose among results, and which tensors hold floating point."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from qdiag.core.measures.measurement import LeftOut
from qdiag.onnx.ends.cut import Cut, Step, cut
from qdiag.onnx.model import OnnxGraph, OnnxNode, all_nodes, read_names, without_unused

ENDS = frozenset(
    (
        *("NonMaxSuppression", "NonZero", "Unique", "Compress"),
        *("EfficientNMS_TRT", "BatchedNMS_TRT", "BatchedNMSDynamic_TRT", "NMS_TRT"),
    )
)
"""Operators of ONNX, and the plugins of TensorRT that detectors are exported with."""
_WEIGHTED = frozenset(
    (
        *("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"),
        *("FusedConv", "FusedGemm", "FusedMatMul"),
    )
)
_WEIGHT_OF_INTEGERS = {"QLinearConv": 3, "QLinearMatMul": 3, "QGemm": 3, "ConvInteger": 1, "MatMulInteger": 1}
_MOVES = frozenset(
    (
        *("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"),
        *("QuantizeLinear", "DequantizeLinear"),
    )
)
_SIZES = frozenset(("Shape", "Size"))
_NEVER_FLOAT = frozenset(
    (
        *_SIZES,
        *ENDS,
        *("ArgMax", "ArgMin", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or", "Not", "Xor"),
        *("IsNaN", "IsInf"),
    )
)
_TYPE_OF = {"Where": 1, "OneHot": 2, "CastLike": 1}
"""Operators whose result has the type of another input than their first."""


def without_end(graph: OnnxGraph) -> tuple[OnnxGraph, tuple[LeftOut, ...]]:
    """The network up to what non-maximum suppression, and the like, reads; and what is left out of it.

    Raises:
        LoadError: layers with weights stand behind it, or nothing before it.
    """
    found = cut_of(graph)
    if found is None:
        return graph, ()
    return without_unused(replace(graph, outputs=found.outputs)), found.left_out


def cut_of(graph: OnnxGraph) -> Cut[str] | None:
    """Where the network is cut; None where it is read as a whole.

    Raises:
        LoadError: as `without_end`.
    """
    if not any(node.op in ENDS for node in all_nodes(graph)):
        return None
    nodes = without_unused(graph).nodes
    inputs = [one.name for one in graph.inputs]
    return cut([_step(node, graph) for node in nodes], inputs, graph.outputs, _floats(graph, nodes))


def _step(node: OnnxNode, graph: OnnxGraph) -> Step[str]:
    inner = [one for branch in node.graphs for one in all_nodes(branch)]
    is_end = any(one.op in ENDS for one in (node, *inner))
    weights = tuple(name for one in (node, *inner) if (name := _weight(one)))
    gives = tuple(name for name in node.outputs if name)
    return Step(
        node.kind,
        node.name,
        read_names(node),
        gives,
        is_end=is_end,
        is_move=node.op in _MOVES,
        is_sample=_takes_sample(node, graph),
        is_size=node.op in _SIZES,
        weights=weights,
    )


def _takes_sample(node: OnnxNode, graph: OnnxGraph) -> bool:
    """`x[0]` and `squeeze(x, 0)`, as exporters write them that saw one sample."""
    numbers = graph.constants.get(node.inputs[1]) if len(node.inputs) > 1 else None
    if node.op == "Gather":
        return numbers is not None and numbers.size == 1 and not numbers.any() and node.attributes.get("axis", 0) == 0
    axes = numbers if numbers is not None else np.asarray(node.attributes.get("axes", ()))
    return node.op == "Squeeze" and bool((axes == 0).any())


def _weight(node: OnnxNode) -> str:
    place = 1 if node.op in _WEIGHTED else _WEIGHT_OF_INTEGERS.get(node.op)
    return node.inputs[place] if place is not None and len(node.inputs) > place else ""


def _floats(graph: OnnxGraph, nodes: Iterable[OnnxNode]) -> set[str]:
    """Tensors in floating point, as far as the types of operators say."""
    floats = {one.name for one in graph.inputs if one.dtype.kind == "f"}
    floats |= {name for name, array in graph.constants.items() if array.dtype.kind == "f"}
    for node in nodes:
        if node.op == "Cast":
            is_float = np.dtype(node.attributes.get("to", np.int64)).kind == "f"
        elif node.op in ("DequantizeLinear", *_WEIGHTED):
            is_float = True
        else:
            place = _TYPE_OF.get(node.op, 0)
            read = node.inputs[place] if len(node.inputs) > place else ""
            is_float = node.op not in _NEVER_FLOAT and node.op != "QuantizeLinear" and read in floats
        if is_float:
            # the second result of TopK and MaxPool is a place
            floats.update(node.outputs[:1] if node.op in ("TopK", "MaxPool") else node.outputs)
    return floats
