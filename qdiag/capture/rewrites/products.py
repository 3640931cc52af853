"""Products with a constant matrix become linear layers: backends store the matrix as a weight, and quantize it as one.

`x @ W` and `addmm(b, x, W)` keep W as (inputs, outputs), as GPT-2's Conv1D does; linear layers keep (outputs, inputs).
The graph transposes it, and the layer takes the result as it takes any weight that `forward` computes from a parameter.
"""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten
_PLACES = {aten.addmm.default: (1, 2), aten.mm.default: (0, 1), aten.matmul.default: (0, 1)}
"""Where each has its data and its matrix."""


def linear_from_products(graph: fx.Graph, inputs: Collection[str]) -> None:
    """Rewrites the graph in place.

    Args:
        inputs: placeholders of the network's inputs; every other one is a constant.
    """
    for node in list(graph.nodes):
        places = _PLACES.get(node.target) if node.op == "call_function" and not node.kwargs else None
        if places is None:
            continue
        x, matrix = (node.args[place] for place in places)
        bias = node.args[0] if places[0] else None
        if not (_is_constant(matrix, 2, inputs) and (bias is None or _is_constant(bias, 1, inputs))) or x is matrix:
            continue
        with graph.inserting_before(node):
            weight = graph.call_function(aten.t.default, (matrix,))
            weight.meta = {"val": matrix.meta["val"].t()}
            linear = graph.call_function(aten.linear.default, (x, weight, bias))
        linear.meta = dict(node.meta)
        node.replace_all_uses_with(linear)
        graph.erase_node(node)


def _is_constant(node: Any, ndim: int, inputs: Collection[str]) -> bool:
    if not isinstance(node, fx.Node) or node.op != "placeholder" or node.target in inputs:
        return False
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.ndim == ndim and value.is_floating_point()
