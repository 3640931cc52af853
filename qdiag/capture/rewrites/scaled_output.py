"""A scale per channel, moved out of an output of the network into the weights of its last layer."""

from dataclasses import replace

import torch
from torch import Tensor, fx

from qdiag.capture.ops import kind_and_policy, weight_axis
from qdiag.capture.program import Program


def scaled_output(
    program: Program, name: str, keys: tuple[str, str | None], scales: Tensor, axis: int
) -> Program | str:
    """The network with the weights of a last layer multiplied by a scale per channel, and its output divided by it.

    With powers of two as scales, the float network computes the same values, bit for bit.

    Args:
        name: graph node of the layer, whose values are at most moved on the way to outputs. keys: its weight and bias,
            by their placeholders.
        scales: (C,), positive. axis: of the channels, in the output.

    Returns:
        The new program, whose operation `NAME.scale` stands behind the layer; or the reason why there is none.
    """
    graph = fx.Graph()
    graph.output(graph.graph_copy(program.graph, {}))
    node = next(n for n in graph.nodes if n.name == name)
    shown = node.meta.get("val")
    if not isinstance(shown, Tensor):
        return "the shape of its output is not known"
    reader = _reader(node)
    if reader is not None:
        return f"{kind_and_policy(reader)[0]} reads this output, which is none of the network's"
    constants = dict(program.constants)
    weight, bias = keys
    along = weight_axis(kind_and_policy(node)[0])
    if constants[weight].shape[along] != len(scales):
        return "its weights have no row for each channel"
    shape = [-1 if i == along else 1 for i in range(constants[weight].ndim)]
    constants[weight] = constants[weight] * scales.view(shape)
    if bias is not None:
        constants[bias] = constants[bias] * scales
    with graph.inserting_before(next(iter(graph.nodes))):
        scale = graph.placeholder(f"{name}_scale")
    constants[str(scale.target)] = (1.0 / scales).view([-1 if i == axis else 1 for i in range(1, shown.ndim)])
    scale.meta["val"] = constants[str(scale.target)]
    with graph.inserting_after(node):
        scaled = graph.call_function(torch.ops.aten.mul.Tensor, (node, scale))
    node.replace_all_uses_with(scaled, delete_user_cb=lambda user: user is not scaled)
    scaled.meta["val"] = shown
    scaled.meta["nn_module_stack"] = {"scale": (f"{name}.scale", "torch.nn.modules.linear.Identity")}
    graph.lint()
    return replace(program, graph=graph, constants=constants)


def _reader(node: fx.Node) -> fx.Node | None:
    """The first operation that computes with the values of a node; None where they are moved to outputs alone."""
    waiting = [node]
    while waiting:
        for user in waiting.pop().users:
            if user.op == "output":
                continue
            if kind_and_policy(user)[1] != "pass":
                return user
            waiting.append(user)
    return None
