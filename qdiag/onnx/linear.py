"""Layers with weights in the form that backends store: linear layers with (outputs, inputs), and biases of one axis.

A `MatMul` or `Gemm` with a constant matrix is a linear layer. A constant that an `Add` behind a layer adds to each of
its channels is its bias.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from qdiag.onnx.model import LAYERS, Array, OnnxGraph, OnnxNode, all_nodes

_WEIGHTED = ("Conv", "ConvTranspose", "qdiag.Linear")
"""Kinds of nodes whose third input is a bias."""


def with_layers(graph: OnnxGraph, kept: Collection[str] = ()) -> OnnxGraph:
    """A graph that computes the same.

    Args:
        kept: values that stay, because something is known of them: what is added behind one is no bias.
    """
    return _Writer(graph, kept).run()


def biased_outputs(graph: OnnxGraph) -> frozenset[str]:
    """What the layers of a graph give that have a bias."""
    layers = (node for node in all_nodes(graph) if node.kind in _WEIGHTED)
    return frozenset(node.outputs[0] for node in layers if len(node.inputs) > 2 and node.inputs[2])


class _Writer:
    def __init__(self, graph: OnnxGraph, kept: Collection[str]) -> None:
        self._graph = graph
        self._constants = dict(graph.constants)
        self._readers = Counter(name for node in all_nodes(graph) for name in node.inputs)
        self._readers.update((*graph.outputs, *kept))
        self._made: dict[tuple[str, str], str] = {}
        self._forms: dict[str, tuple[str, str]] = {}

    def run(self) -> OnnxGraph:
        nodes = self._written(self._graph)
        return replace(self._graph, nodes=nodes, constants=self._constants, forms={**self._graph.forms, **self._forms})

    def _written(self, graph: OnnxGraph) -> tuple[OnnxNode, ...]:
        nodes: list[OnnxNode] = []
        layers: dict[str, int] = {}
        for node in graph.nodes:
            node = self._with_branches(node)
            node = self._linear(node)
            bias = self._bias(node, nodes, layers)
            if bias is not None:
                place = layers.pop(bias[0])
                nodes[place] = replace(nodes[place], inputs=(*nodes[place].inputs[:2], bias[1]), outputs=node.outputs)
                # its weight has a reader before: the addition stands where its result is read
                continue
            if node.kind in _WEIGHTED and len([i for i in node.inputs if i]) == 2:
                layers[node.outputs[0]] = len(nodes)
            nodes.append(node)
        return tuple(nodes)

    def _with_branches(self, node: OnnxNode) -> OnnxNode:
        if not node.graphs:
            return node
        attributes: Mapping[str, object] = {
            key: replace(value, nodes=self._written(value)) if isinstance(value, OnnxGraph) else value
            for key, value in node.attributes.items()
        }
        return replace(node, attributes=attributes)

    def _linear(self, node: OnnxNode) -> OnnxNode:
        matrix = self._float(node.inputs[1]) if node.op in ("MatMul", "Gemm") and len(node.inputs) > 1 else None
        if node.domain or matrix is None or matrix.ndim != 2 or node.inputs[0] in self._constants:
            return node
        attributes = node.attributes
        if node.op == "MatMul":
            return self._as_linear(node, self._variant(node.inputs[1], "transposed", matrix.T), "")
        if attributes.get("transA", 0) or attributes.get("alpha", 1.0) != 1.0:
            return node
        columns = matrix.shape[0 if attributes.get("transB", 0) else 1]
        bias = node.inputs[2] if len(node.inputs) > 2 else ""
        if bias:
            values = self._float(bias)
            if values is None or attributes.get("beta", 1.0) != 1.0 or values.size not in (1, columns):
                return node
            if values.ndim == 2 and values.shape[0] != 1:
                return node
            if values.shape != (columns,):
                bias = self._variant(bias, "vector", np.broadcast_to(values.reshape(-1), (columns,)))
        weight = node.inputs[1]
        if not attributes.get("transB", 0):
            weight = self._variant(weight, "transposed", matrix.T)
        return self._as_linear(node, weight, bias)

    def _as_linear(self, node: OnnxNode, weight: str, bias: str) -> OnnxNode:
        inputs = (node.inputs[0], weight, bias) if bias else (node.inputs[0], weight)
        return replace(node, op="Linear", domain=LAYERS, inputs=inputs, attributes={})

    def _bias(self, node: OnnxNode, nodes: list[OnnxNode], layers: dict[str, int]) -> tuple[str, str] | None:
        """The output of the layer before, and the name of the bias, where an `Add` adds nothing but a bias."""
        if node.op != "Add" or node.domain or len(node.inputs) != 2:
            return None
        for x, other in (node.inputs, node.inputs[::-1]):
            values = self._float(other)
            if x not in layers or values is None or self._readers[x] != 1:
                continue
            layer = nodes[layers[x]]
            weight = self._float(layer.inputs[1])
            if weight is None:
                continue
            count = _output_count(layer, weight)
            axes = 0 if layer.op == "Linear" else weight.ndim - 2
            if values.size != count or not _is_bias(values, count, axes):
                continue
            return x, other if values.shape == (count,) else self._variant(other, "vector", values.reshape(-1))
        return None

    def _float(self, name: str) -> Array | None:
        array = self._constants.get(name)
        return array if array is not None and array.dtype.kind == "f" else None

    def _variant(self, name: str, how: str, values: Array) -> str:
        """The constant in another form; under its own name where nothing reads it in the old one."""
        key = (name, how)
        if key not in self._made:
            is_alone = self._readers[name] == 1
            self._made[key] = name if is_alone else f"{name}#{how}"
            stored = self._graph.forms.get(name, (name, how))
            is_whole = values.size == self._constants[name].size
            is_alike = (
                how == "vector" or stored[1] != "reshaped"
            )  # the file does not have a transposed one in its order
            self._forms[self._made[key]] = stored if is_whole and is_alike else (name, "computed")
            self._constants[self._made[key]] = np.ascontiguousarray(values)
        return self._made[key]


def _output_count(layer: OnnxNode, weight: Array) -> int:
    if layer.op == "ConvTranspose":
        return int(weight.shape[1]) * int(layer.attributes.get("group", 1))
    return int(weight.shape[0])


def _is_bias(values: Array, count: int, axes: int) -> bool:
    """One number for each channel: `axes` sizes of 1 behind it, and nothing but ones before it."""
    shape = values.shape
    place = len(shape) - 1 - axes
    return place >= 0 and shape[place] == count and all(s == 1 for n, s in enumerate(shape) if n != place)
