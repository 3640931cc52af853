"""The BatchNorms that a network's input reaches before any other, and the part of the graph in front of them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx

from qdiag.capture.fold import batch_norm_name
from qdiag.capture.program import Program

_BATCH_NORM = torch.ops.aten.batch_norm.default


@dataclass(frozen=True)
class FirstNorm:
    """A BatchNorm with running statistics, (C,) each."""

    name: str
    mean: Tensor
    variance: Tensor


@dataclass(frozen=True)
class FirstNorms:
    """BatchNorms with no other before them.

    Attributes:
        program: what runs in front of them; its outputs are their inputs, in the same order.
    """

    norms: tuple[FirstNorm, ...]
    program: Program


def first_norms(program: Program) -> FirstNorms | None:
    """Those of a captured program, BatchNorm not folded; None where no BatchNorm that was trained is reached first.

    A BatchNorm whose statistics are as they are made (mean 0, variance 1) has seen nothing, and is passed through, as
    is one in training mode or without statistics.
    """
    behind: dict[fx.Node, bool] = {}
    reached: dict[fx.Node, bool] = {}
    found: list[tuple[fx.Node, FirstNorm]] = []
    for node in program.graph.nodes:
        before = node.all_input_nodes
        reached[node] = node.target in program.inputs if node.op == "placeholder" else any(reached[n] for n in before)
        norm = _norm(program, node)
        behind[node] = norm is not None or any(behind[n] for n in before)
        if norm is not None and reached[node] and not any(behind[n] for n in before):
            found.append((node, norm))
    if not found:
        return None
    return FirstNorms(tuple(norm for _, norm in found), _in_front_of(program, [node for node, _ in found]))


def _norm(program: Program, node: fx.Node) -> FirstNorm | None:
    if node.op != "call_function" or node.target is not _BATCH_NORM or node.args[5]:
        return None
    mean, variance = (program.constants.get(str(a.target)) if isinstance(a, fx.Node) else None for a in node.args[3:5])
    if mean is None or variance is None or not mean.numel():
        return None
    if bool((mean == 0.0).all()) and bool((variance == 1.0).all()):
        return None
    return FirstNorm(batch_norm_name(program, node), mean, variance)


def _in_front_of(program: Program, norms: list[fx.Node]) -> Program:
    """The program up to the inputs of these nodes; all placeholders stay, so that it takes the same arguments."""
    inputs = [node.all_input_nodes[0] for node in norms]
    needed, waiting = set[fx.Node](), list(inputs)
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += node.all_input_nodes
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in program.graph.nodes:
        if node in needed or node.op == "placeholder":
            copies[node] = graph.node_copy(node, lambda n: copies[n])
    graph.output(tuple(copies[node] for node in inputs))
    return replace(program, graph=graph, output_names=tuple(node.name for node in norms))
