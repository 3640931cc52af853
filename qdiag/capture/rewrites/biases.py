"""Biases that depend on the inputs are no part of a layer: operations of their own add them."""

import torch
from torch import Tensor, fx

from qdiag.capture.ops import has_weight, kind_and_policy

_aten = torch.ops.aten


def separate_biases(graph: fx.Graph, inputs: tuple[str, ...]) -> None:
    """Adds what depends on the inputs after the layer, as an operation of its own: a layer's bias is stored with it.

    Args:
        inputs: placeholders of the network's inputs.
    """
    data: set[fx.Node] = set()
    for node in list(graph.nodes):
        if node.op == "placeholder":
            if node.target in inputs:
                data.add(node)
        elif any(i in data for i in node.all_input_nodes):
            data.add(node)
            if node.op == "call_function" and has_weight(kind_and_policy(node)[0]):
                _separate(graph, node, data)


def _separate(graph: fx.Graph, node: fx.Node, data: set[fx.Node]) -> None:
    bias = node.args[2] if len(node.args) > 2 else node.kwargs.get("bias")
    weight = node.args[1]
    if not isinstance(bias, fx.Node) or bias not in data or weight in data:
        return
    node.args = (*node.args[:2], None, *node.args[3:])
    node.kwargs = {key: value for key, value in node.kwargs.items() if key != "bias"}
    with graph.inserting_after(node):
        added = graph.call_function(_aten.add.Tensor, (node, bias))
    added.meta = dict(node.meta)
    node.replace_all_uses_with(added, delete_user_cb=lambda user: user is not added)
    data.add(added)
    axes = _axes_behind(node)
    if axes:
        with graph.inserting_before(added):
            shaped = graph.call_function(_aten.reshape.default, (bias, [-1, *[1] * axes]))
        shaped.meta = {key: node.meta[key] for key in ("nn_module_stack",) if key in node.meta}
        value = bias.meta.get("val")
        if isinstance(value, Tensor):
            shaped.meta["val"] = value.reshape(-1, *[1] * axes)
        added.args = (node, shaped)
        data.add(shaped)


def _axes_behind(node: fx.Node) -> int:
    """Axes behind the channels in the output of a convolution; 0 for a linear layer."""
    value = node.meta.get("val")
    if kind_and_policy(node)[0] == "linear" or not isinstance(value, Tensor):
        return 0
    return value.ndim - 2
