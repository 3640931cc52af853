"""Vectors that exporters store once because they are equal, such as the factors of BatchNorms, taken apart again."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from qdiag.onnx.model import OnnxGraph, OnnxNode

_VECTORS: Mapping[str, tuple[int, ...]] = {
    "BatchNormalization": (1, 2, 3, 4),
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm"), (2,)),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization", "InstanceNormalization"), (1, 2)),
}
"""Inputs of layers with one number for each channel."""


def with_own_vectors(graph: OnnxGraph, read: OnnxGraph) -> OnnxGraph:
    """A graph in which each layer has its vectors by itself; weights that several layers share stay shared.

    The first layer that reads a vector keeps it. `OnnxGraph.readers` says where the others stand in the file.

    Args:
        graph: without nodes of constants. read: as the file has it, where an `Identity` gives a vector another name.
    """
    names = {node.outputs[0]: node.inputs for node in read.nodes if node.outputs}
    taken = {*graph.constants, *(one.name for one in graph.inputs), *(o for node in graph.nodes for o in node.outputs)}
    constants, forms, readers = dict(graph.constants), dict(graph.forms), dict[str, tuple[str, int]]()
    seen: set[str] = set()
    nodes: list[OnnxNode] = []
    for node in graph.nodes:
        inputs = list(node.inputs)
        for place in _places(node, graph):
            name = inputs[place]
            if name in seen:
                before = names.get(node.outputs[0], ())
                own = _own_name(before[place] if place < len(before) else name, node.outputs[0], taken)
                taken.add(own)
                constants[own], forms[own] = constants[name].copy(), (name, "shared")
                readers[own] = (node.outputs[0], place)
                inputs[place] = own
            seen.add(name)
        nodes.append(node if tuple(inputs) == node.inputs else replace(node, inputs=tuple(inputs)))
    return replace(graph, nodes=tuple(nodes), constants=constants, forms=forms, readers=readers) if readers else graph


def _places(node: OnnxNode, graph: OnnxGraph) -> list[int]:
    found = []
    for place in _VECTORS.get(node.kind, ()):
        name = node.inputs[place] if place < len(node.inputs) else ""
        array = graph.constants.get(name)
        is_vector = array is not None and array.ndim == 1 and np.issubdtype(array.dtype, np.floating)
        if is_vector and name not in graph.forms:  # what the file computes stays as it is
            found.append(place)
    return found


def _own_name(name: str, output: str, taken: Collection[str]) -> str:
    """The name that the file has for it, else one that says who reads it."""
    name = name if name not in taken else f"{name}/{output}"
    while name in taken:
        name += "_"
    return name
