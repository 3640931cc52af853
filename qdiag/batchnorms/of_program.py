"""BatchNorms of a `torch.export` program, from its own graph."""

from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from qdiag.batchnorms.sites import GraphOp, LayerTensors, NormSites, NormTensors, pair_in_graph
from qdiag.capture.capture import program_from_export
from qdiag.capture.ops import has_weight, kind_and_policy, weight_axis
from qdiag.capture.program import Program
from qdiag.capture.rewrites.functionalize import needs_full_functionalization
from qdiag.capture.routes import quiet

_BATCH_NORM = torch.ops.aten.batch_norm.default


def norms_of_program(exported: ExportedProgram) -> NormSites:
    """The BatchNorms of a program, in graph order; the program is left as it was."""
    if needs_full_functionalization(exported):
        with quiet():
            exported = exported.run_decompositions({})
    program = program_from_export(exported, "exported_program")
    ops = [_op(program, node) for node in program.graph.nodes]
    return NormSites("exported program", tuple(pair_in_graph(ops)))


def _op(program: Program, node: fx.Node) -> GraphOp:
    inputs = tuple(i.name for i in node.all_input_nodes if i.target not in program.constants)
    if node.op != "call_function":
        return GraphOp(node.name, inputs)
    norm = _norm(program, node) if node.target is _BATCH_NORM else None
    kind = kind_and_policy(node)[0]
    layer = _layer(program, node, kind) if has_weight(kind) else None
    return GraphOp(node.name, inputs, norm, layer)


def _norm(program: Program, node: fx.Node) -> NormTensors | None:
    gamma, beta, mean, variance = (_constant(program, argument) for argument in node.args[1:5])
    known = next((t for t in (variance, gamma) if t is not None), None)
    eps: Any = node.args[7]
    names = [program.parameter_names.get(str(a.target), "") for a in node.args[1:5] if isinstance(a, fx.Node)]
    if known is None:
        value = node.meta.get("val")
        channels = int(value.shape[1]) if isinstance(value, Tensor) and value.ndim > 1 else 0
    else:
        channels = len(known)
    name = next((n.rpartition(".")[0] for n in names if n), node.name)
    return NormTensors(name, channels, float(eps), gamma, beta, mean, variance, is_training=bool(node.args[5]))


def _layer(program: Program, node: fx.Node, kind: str) -> LayerTensors | None:
    weight = _constant(program, node.args[1])
    if weight is None or not isinstance(node.args[1], fx.Node):
        return None
    weight_name = program.parameter_names.get(str(node.args[1].target), "")
    name = weight_name.rpartition(".")[0] or node.name
    if kind == "linear":
        value = node.meta.get("val")
        if isinstance(value, Tensor) and value.ndim != 2:
            return None  # channels of the BatchNorm are then positions, not outputs of the layer
        return LayerTensors(name, "linear", weight_name, weight)
    groups = _groups(node)
    if kind == "conv_transpose":
        return LayerTensors(name, "conv_transpose", weight_name, weight, groups, weight_axis(kind))
    is_depthwise = groups > 1 and weight.shape[1] == 1
    return LayerTensors(
        name, "depthwise_conv" if is_depthwise else "conv", weight_name, weight, groups, 0, _is_padded(node)
    )


def _constant(program: Program, argument: object) -> Tensor | None:
    return program.constants.get(str(argument.target)) if isinstance(argument, fx.Node) else None


def _argument(node: fx.Node, index: int, name: str, default: Any) -> Any:
    return node.args[index] if index < len(node.args) else node.kwargs.get(name, default)


def _groups(node: fx.Node) -> int:
    # convNd(x, w, b, stride, padding, dilation, groups); conv_transposeNd and convolution have more before it
    index = 8 if "convolution" in str(node.target) else 6
    groups = _argument(node, index, "groups", 1)
    return groups if isinstance(groups, int) else 1


def _is_padded(node: fx.Node) -> bool:
    padding = _argument(node, 4, "padding", 0)
    if isinstance(padding, str):
        return padding != "valid"
    return any(padding) if isinstance(padding, list | tuple) else padding not in (0, None)
