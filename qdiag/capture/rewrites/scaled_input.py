"""A scale per channel, moved out of the first layer's weights to the network's input."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, fx

from qdiag.capture.ops import has_weight, kind_and_policy
from qdiag.capture.program import Program


def scaled_input(program: Program, name: str, scales: Tensor) -> tuple[Program, Mapping[str, Tensor]] | str:
    """The network with its input multiplied by a scale per channel, and the weights that read it divided by them.

    With powers of two as scales, the float network computes the same values, bit for bit.

    Args:
        name: graph node of the input, (N, C, ...), or (..., C) where linear layers read it.
        scales: (C,), positive.

    Returns:
        The new program, whose operation `NAME.scale` stands before every reader, and the weights by their names in the
        original model; or the reason why the scales cannot be moved.
    """
    graph = fx.Graph()
    graph.output(graph.graph_copy(program.graph, {}))
    source = next(n for n in graph.nodes if n.op == "placeholder" and n.name == name)
    constants, weights = dict(program.constants), dict[str, Tensor]()
    for reader in source.users:
        key = str(reader.args[1].target) if len(reader.args) > 1 and isinstance(reader.args[1], fx.Node) else ""
        kind = kind_and_policy(reader)[0]
        if not has_weight(kind) or reader.args[0] is not source or key not in program.parameter_names:
            return f"{kind} reads the input, and has no weights to take the scales"
        weight = program.constants[key]
        if kind == "conv_transpose" or weight.shape[1] != len(scales):
            return "the weights that read the input have no column for each of its channels"
        shape = (1, -1, *(1,) * (weight.ndim - 2))
        constants[key] = weights[program.parameter_names[key]] = weight / scales.view(shape)
    first = next(iter(graph.nodes))
    with graph.inserting_before(first):
        scale = graph.placeholder(f"{name}_scale")
    is_last = all(kind_and_policy(reader)[0] == "linear" for reader in source.users)
    shown = source.meta["val"]
    constants[str(scale.target)] = scales if is_last else scales.view(-1, *(1,) * (shown.ndim - 2))
    scale.meta["val"] = constants[str(scale.target)]
    with graph.inserting_after(source):
        scaled = graph.call_function(torch.ops.aten.mul.Tensor, (source, scale))
    source.replace_all_uses_with(scaled, delete_user_cb=lambda user: user is not scaled)
    scaled.meta["val"] = shown
    scaled.meta["nn_module_stack"] = {"scale": (scale_layer(name), "torch.nn.modules.linear.Identity")}
    graph.lint()
    return replace(program, graph=graph, constants=constants), weights


def scale_layer(name: str) -> str:
    """Name of the layer that multiplies an input by its scales."""
    return f"{name}.scale"
