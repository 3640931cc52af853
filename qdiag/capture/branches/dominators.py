"""Through which one value everything goes that reaches a node."""

from torch import fx

from qdiag.capture.branches.constants import data_inputs


def immediate_dominators(graph: fx.Graph, data: set[fx.Node]) -> dict[fx.Node, fx.Node | None]:
    """Per node with data the last node before it that lies on every way from the inputs; None where there is none.

    Args:
        data: the nodes that depend on the network's inputs.
    """
    found: dict[fx.Node, fx.Node | None] = {}
    depth: dict[fx.Node | None, int] = {None: 0}
    for node in graph.nodes:
        if node not in data:
            continue
        inputs = data_inputs(node, data)
        common = inputs[0] if inputs else None
        for other in inputs[1:]:
            common = _meeting(common, other, found, depth)
        found[node] = common
        depth[node] = depth[common] + 1
    return found


def _meeting(
    a: fx.Node | None, b: fx.Node | None, found: dict[fx.Node, fx.Node | None], depth: dict[fx.Node | None, int]
) -> fx.Node | None:
    while a is not b:
        if depth[a] < depth[b]:
            a, b = b, a
        assert a is not None
        a = found[a]
    return a
