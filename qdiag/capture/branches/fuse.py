"""A program with blocks of branches written as one convolution each; the program given stays as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.capture.branches.block import LinearBlock
from qdiag.capture.branches.deployed import deployed_name
from qdiag.capture.program import Program
from qdiag.numerics.convolutions.conv_map import ConvMap

_CONVOLUTIONS = {1: torch.ops.aten.conv1d.default, 2: torch.ops.aten.conv2d.default, 3: torch.ops.aten.conv3d.default}


@dataclass(frozen=True)
class FusedProgram:
    """The program, and by block name what became of it: the module path and the graph node of its convolution."""

    program: Program
    modules: Mapping[str, str]
    nodes: Mapping[str, str]


def fuse_blocks(program: Program, blocks: Sequence[LinearBlock]) -> FusedProgram:
    """Writes every block that has one map as one convolution, in the dtype of the program's weights.

    Args:
        blocks: of `find_blocks` for this very program.
    """
    graph = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    graph.output(graph.graph_copy(program.graph, copies))
    constants, names = dict(program.constants), dict(program.parameter_names)
    modules, nodes = dict[str, str](), dict[str, str]()
    for block in blocks:
        if block.fused is None:
            continue
        module = _free(deployed_name(block), set(names.values()))
        fused = _written(graph, copies, block, block.fused)
        for part, value in (("weight", block.fused.kernel), ("bias", block.fused.constant)):
            placeholder = _placeholder(graph, f"{fused.name}_{part}", value.float())
            constants[str(placeholder.target)] = placeholder.meta["val"]
            names[str(placeholder.target)] = f"{module}.{part}"
            fused.update_arg(1 if part == "weight" else 2, placeholder)
        modules[block.name], nodes[block.name] = module, fused.name
    graph.eliminate_dead_code()
    graph.lint()
    alive = {node.target for node in graph.nodes if node.op == "placeholder" and node.users}
    constants = {name: value for name, value in constants.items() if name in alive}
    names = {key: name for key, name in names.items() if key in alive or key not in program.constants}
    _drop_unused(graph, alive, program.inputs)
    return FusedProgram(replace(program, graph=graph, constants=constants, parameter_names=names), modules, nodes)


def _written(graph: fx.Graph, copies: Mapping[fx.Node, fx.Node], block: LinearBlock, fused: ConvMap) -> fx.Node:
    """The convolution in place of the block; its weight and bias are still missing."""
    source, end = copies[block.source], copies[block.end]
    meta: dict[str, Any] = {key: end.meta[key] for key in ("val", "nn_module_stack", "stack_trace") if key in end.meta}
    with graph.inserting_before(end):
        padding = list(fused.before)
        is_plain = fused.before == fused.after and min(fused.before) >= 0
        if not is_plain or (fused.reaches_out and fused.mode != "zeros"):
            source, padding = _padded(graph, source, fused), [0] * fused.rank
        sizes = (list(fused.stride), padding, list(fused.dilation), fused.groups)
        made = graph.call_function(_CONVOLUTIONS[fused.rank], (source, None, None, *sizes))
    made.meta = meta
    end.replace_all_uses_with(made)
    return made


def _padded(graph: fx.Graph, source: fx.Node, fused: ConvMap) -> fx.Node:
    flat = [size for pair in reversed(list(zip(fused.before, fused.after, strict=True))) for size in pair]
    mode = "constant" if fused.mode == "zeros" or not fused.reaches_out else fused.mode
    arguments = (source, flat) if mode == "constant" else (source, flat, mode)
    target = torch.ops.aten.constant_pad_nd.default if mode == "constant" else torch.ops.aten.pad.default
    padded = graph.call_function(target, arguments)
    value = source.meta.get("val")
    if isinstance(value, Tensor):
        padded.meta["val"] = torch.nn.functional.pad(value, flat, mode=mode)
    return padded


def _placeholder(graph: fx.Graph, name: str, value: Tensor) -> fx.Node:
    with graph.inserting_before(next(iter(graph.nodes))):
        made = graph.placeholder(name)
    made.meta = {"val": value.contiguous()}
    return made


def _drop_unused(graph: fx.Graph, alive: set[object], inputs: Sequence[str]) -> None:
    for node in list(graph.nodes):
        if node.op == "placeholder" and node.target not in alive and node.target not in inputs:
            graph.erase_node(node)


def _free(module: str, taken: set[str]) -> str:
    """The path, with a number behind it where it is taken."""
    number, name = 1, module
    while f"{name}.weight" in taken:
        number += 1
        name = f"{module}_{number}"
    return name
