"""What stands between a concat and the outputs of a network, where nothing else reads it."""

from torch import Tensor, fx

from qdiag.capture.outputs.moves import is_concat, keeps_apart
from qdiag.capture.program import Program
from qdiag.core.graph import OpGraph


def output_concats(program: Program, graph: OpGraph) -> dict[str, tuple[str, ...]]:
    """Concats that end in the outputs alone: name of the layer to the layers from there to the outputs, itself first.

    After such a concat every value is only moved, or changed by itself: whoever runs the network can as well join its
    branches afterwards.
    """
    by_node = {node: layer.name for layer in graph.layers for node in layer.nodes}
    found: dict[str, tuple[str, ...]] = {}
    for node in program.graph.nodes:
        if is_concat(node) and node.name in by_node:
            tail = _tail(node)
            if tail is not None:
                reached = {by_node[each.name] for each in tail if each.name in by_node}
                found[by_node[node.name]] = tuple(layer.name for layer in graph.layers if layer.name in reached)
    return found


def _tail(concat: fx.Node) -> set[fx.Node] | None:
    """Everything that depends on the concat; None where some of it mixes values."""
    seen = {concat}
    waiting = [concat]
    while waiting:
        for user in waiting.pop().users:
            if user.op == "output" or user in seen or not _holds_values(user):
                continue
            if not keeps_apart(user):
                return None
            seen.add(user)
            waiting.append(user)
    return seen


def _holds_values(node: fx.Node) -> bool:
    """It is no size of what it reads."""
    value = node.meta.get("val")
    return value is None or isinstance(value, Tensor | tuple | list)
