"""Nodes that nothing but constants reaches are computed once, when the file is read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from qdiag.onnx.host import HOST_OPERATORS
from qdiag.onnx.interpret import compute
from qdiag.onnx.model import Array, OnnxGraph, OnnxNode, all_nodes, read_names
from qdiag.onnx.operators import OPERATORS
from qdiag.onnx.scope import Eager
from qdiag.onnx.values import Known

_MOVES_NOTHING = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
"""Operators that give the values of their first input in their order, in another shape."""
_KEPT = ("Dropout", "If", "RandomNormal", "RandomUniform", "Shape", "Size")


def fold_constants(graph: OnnxGraph) -> OnnxGraph:
    """A graph without such nodes; what they compute are constants under the names of their outputs.

    `Identity` gives a constant another name; where it has one user, that keeps the name of the file.

    Raises:
        CaptureError: an operator does not compute here what the file asks for.
    """
    constants = dict(graph.constants)
    aliases: dict[str, str] = {}
    forms, readers = dict(graph.forms), _readers(graph)
    nodes: list[OnnxNode] = []
    for node in graph.nodes:
        node = renamed(node, aliases)
        if node.op == "Identity" and not node.domain and node.outputs[0] not in graph.outputs:
            aliases[node.outputs[0]] = node.inputs[0]
        elif not _is_computed(node) or not all(name in constants for name in read_names(node)):
            nodes.append(node)
        else:
            found = _computed(node, constants, graph.opset)
            forms.update((name, _form(node, name, forms, readers)) for name in found)
            constants.update(found)
    outputs = tuple(aliases.get(name, name) for name in graph.outputs)
    return replace(graph, nodes=tuple(nodes), outputs=outputs, constants=constants, forms=forms)


def _readers(graph: OnnxGraph) -> Counter[str]:
    """How many nodes and outputs read a value, under whichever name `Identity` gives it."""
    source: dict[str, str] = {}
    for node in all_nodes(graph):
        if node.op == "Identity" and not node.domain:
            source[node.outputs[0]] = source.get(node.inputs[0], node.inputs[0])
    names = [name for node in all_nodes(graph) if node.outputs[0] not in source for name in node.inputs]
    return Counter(source.get(name, name) for name in (*names, *graph.outputs))


def _form(
    node: OnnxNode, output: str, forms: Mapping[str, tuple[str, str]], readers: Mapping[str, int]
) -> tuple[str, str]:
    """Of a constant that a node gives: see `OnnxGraph.forms`."""
    if node.domain or node.op not in _MOVES_NOTHING or readers[node.inputs[0]] != 1:
        return output, "computed"
    name, form = forms.get(node.inputs[0], (node.inputs[0], ""))
    return (name, "reshaped") if form in ("", "reshaped") else (output, "computed")


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
