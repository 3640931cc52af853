"""Nodes that nothing but constants reaches are computed once, when the file is read."""

from dataclasses import replace

import numpy as np

from qdiag.onnx.host import HOST_OPERATORS
from qdiag.onnx.interpret import compute
from qdiag.onnx.model import Array, OnnxGraph, OnnxNode, read_names
from qdiag.onnx.operators import OPERATORS
from qdiag.onnx.scope import Eager
from qdiag.onnx.values import Known

_KEPT = ("Dropout", "If", "RandomNormal", "RandomUniform", "Shape", "Size")


def fold_constants(graph: OnnxGraph) -> OnnxGraph:
    """A graph without such nodes; what they compute are constants under the names of their outputs.

    `Identity` gives a constant another name; where it has one user, that keeps the name of the file.

    Raises:
        CaptureError: an operator does not compute here what the file asks for.
    """
    constants = dict(graph.constants)
    aliases: dict[str, str] = {}
    nodes: list[OnnxNode] = []
    for node in graph.nodes:
        node = renamed(node, aliases)
        if node.op == "Identity" and not node.domain and node.outputs[0] not in graph.outputs:
            aliases[node.outputs[0]] = node.inputs[0]
        elif not _is_computed(node) or not all(name in constants for name in read_names(node)):
            nodes.append(node)
        else:
            constants.update(_computed(node, constants, graph.opset))
    outputs = tuple(aliases.get(name, name) for name in graph.outputs)
    computed = {name: (name, "computed") for name in constants if name not in graph.constants}
    return replace(graph, nodes=tuple(nodes), outputs=outputs, constants=constants, forms={**graph.forms, **computed})


def _is_computed(node: OnnxNode) -> bool:
    """Operators that are not known stay: whoever reads the graph names them all."""
    is_known = node.kind in OPERATORS or (node.op in HOST_OPERATORS and not node.domain)
    return is_known and node.op not in _KEPT and not node.graphs


def renamed(node: OnnxNode, aliases: dict[str, str]) -> OnnxNode:
    """A node that reads other values, also in its inner graphs."""
    if not any(name in aliases for name in read_names(node)):
        return node
    inputs = tuple(aliases.get(name, name) for name in node.inputs)
    attributes = {
        key: replace(
            value,
            nodes=tuple(renamed(inner, aliases) for inner in value.nodes),
            outputs=tuple(aliases.get(name, name) for name in value.outputs),
        )
        if isinstance(value, OnnxGraph)
        else value
        for key, value in node.attributes.items()
    }
    return replace(node, inputs=inputs, attributes=attributes)


def _computed(node: OnnxNode, constants: dict[str, Array], opset: int) -> dict[str, Array]:
    values = {name: Known(constants[name]) for name in read_names(node)}
    results = compute(node, Eager({}), values, opset)
    return {
        name: np.asarray(result.array)
        for name, result in zip(node.outputs, results, strict=False)
        if name and isinstance(result, Known)
    }
