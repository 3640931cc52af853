"""Functions that exporters take apart, recognized again: a node for each, so that it is quantized as one operation."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from qdiag.onnx.model import OnnxGraph, OnnxNode
from qdiag.onnx.patterns.activations import activation
from qdiag.onnx.patterns.matching import Match, Matcher
from qdiag.onnx.patterns.norms import group_norm, layer_norm

_PATTERNS: Sequence[Callable[[Matcher, OnnxNode], tuple[Match, OnnxNode] | None]] = (
    activation,
    layer_norm,
    group_norm,
)


def recognized(graph: OnnxGraph, kept: Collection[str] = ()) -> OnnxGraph:
    """A graph that computes the same, also in its branches; a node stands where the last one of its parts stood.

    Args:
        kept: values that stay, because something is known of them: no function reaches across them.
    """
    matcher = Matcher(graph, kept)
    made: dict[str, OnnxNode] = {}
    gone: set[str] = set()
    for node in reversed(graph.nodes):
        if node.outputs[0] in gone:
            continue
        found = next((found for pattern in _PATTERNS if (found := pattern(matcher, node)) is not None), None)
        if found is not None:
            made[node.outputs[0]] = found[1]
            gone |= {inner.outputs[0] for inner in found[0].nodes[1:]}
    nodes = [made.get(node.outputs[0], node) for node in graph.nodes if node.outputs[0] not in gone]
    return replace(graph, nodes=tuple(_with_branches(node, graph) for node in nodes))


def _with_branches(node: OnnxNode, graph: OnnxGraph) -> OnnxNode:
    """Constants of a branch stand in the graph around it."""
    if not node.graphs:
        return node
    attributes = {
        key: replace(recognized(replace(value, constants=graph.constants)), constants={})
        if isinstance(value, OnnxGraph)
        else value
        for key, value in node.attributes.items()
    }
    return replace(node, attributes=attributes)
