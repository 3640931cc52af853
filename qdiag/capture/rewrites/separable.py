"""Separable convolutions as arXiv 1803.08607 has them: nothing between the depthwise and the pointwise convolution.

Variant (a) of a block is depthwise convolution, BatchNorm, ReLU6, pointwise convolution, BatchNorm, ReLU6. In (b) the
first BatchNorm is folded into the depthwise convolution and its clamp is gone; (c) has ReLU for ReLU6 elsewhere, too.
Folding is exact. Without its clamp a network computes something else, and needs training: this is where it begins.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from qdiag.batches import Batch
from qdiag.capture.capture import largest_delta
from qdiag.capture.fold import fold_batchnorms
from qdiag.capture.ops import clamp_bounds, convolution_groups, kind_and_policy
from qdiag.capture.program import Program, Runner

RELU6 = (0.0, 6.0)


@dataclass(frozen=True)
class SeparableBlock:
    """Graph nodes of one block, by name; `norm` and `clamp` are None where there is none.

    Attributes:
        name: module path of the depthwise convolution.
        norm, clamp: what stands between it and the pointwise convolution.
        refused: why it stays as it is; None when it can be changed.
    """

    name: str
    depthwise: str
    pointwise: str
    norm: str | None
    clamp: str | None
    refused: str | None = None


def find_separable(program: Program) -> tuple[SeparableBlock, ...]:
    """Depthwise convolutions with a pointwise one behind them and something in between, in graph order."""
    found = (_block(program, node) for node in program.graph.nodes if _is_depthwise(program, node))
    return tuple(block for block in found if block is not None)


def friendly(program: Program, blocks: Iterable[SeparableBlock], *, relu: bool = False) -> Program:
    """The program with each block that was not refused in variant (b); the program given stays as it is.

    Args:
        blocks: of `find_separable` for this very program.
        relu: variant (c): every other ReLU6 of the network becomes a ReLU.
    """
    chosen = [block for block in blocks if block.refused is None]
    norms, clamps = ({getattr(block, part) for block in chosen} - {None} for part in ("norm", "clamp"))
    folded = fold_batchnorms(program, only=norms).program
    for node in list(folded.graph.nodes):
        if node.name in clamps:
            node.replace_all_uses_with(node.args[0])
            folded.graph.erase_node(node)
        elif relu and node.op == "call_function" and clamp_bounds(node) == RELU6:
            node.target, node.args, node.kwargs = torch.ops.aten.relu.default, node.args[:1], {}
    folded.graph.lint()
    return folded


def float_difference(before: Program, after: Program, batches: Iterable[Batch]) -> tuple[float, float]:
    """Largest |difference| of the float outputs of two programs, and the same over the largest |output| of a batch."""
    programs, worst, worst_relative = (Runner(before), Runner(after)), 0.0, 0.0
    with torch.no_grad():
        for batch in batches:
            delta, relative = largest_delta(*(program(batch.args, batch.kwargs) for program in programs))
            worst, worst_relative = max(worst, delta), max(worst_relative, relative)
    return worst, worst_relative


def _block(program: Program, depthwise: fx.Node) -> SeparableBlock | None:
    """The block that begins with a depthwise convolution; None where it is none, or nothing stands in between."""
    norm = _next(depthwise, lambda node: kind_and_policy(node)[0] == "norm")
    clamp = _next(norm or depthwise, lambda node: clamp_bounds(node) is not None)
    last = clamp or norm or depthwise
    pointwise = _next(last, lambda node: _is_pointwise(program, node))
    if pointwise is None or last is depthwise:
        return None
    refused = None
    if any(len(node.users) > 1 for node in (depthwise, norm, clamp) if node is not None):
        refused = "something else reads what lies between its convolutions"
    elif norm is not None:
        kept = {pair.norm: pair.kept for pair in fold_batchnorms(program, only={norm.name}).pairs}
        refused = kept.get(norm.name, "the norm between its convolutions is no BatchNorm")
    weight = depthwise.args[1]
    path = program.parameter_names.get(str(weight.target), "") if isinstance(weight, fx.Node) else ""
    return SeparableBlock(
        name=path.rpartition(".")[0] or depthwise.name,
        depthwise=depthwise.name,
        pointwise=pointwise.name,
        norm=norm.name if norm is not None else None,
        clamp=clamp.name if clamp is not None else None,
        refused=refused,
    )


def _next(node: fx.Node, fits: Callable[[fx.Node], bool]) -> fx.Node | None:
    """The first reader of a node that fits and has the node as its data."""
    readers = (user for user in node.users if user.op == "call_function" and user.args and user.args[0] is node)
    return next((reader for reader in readers if fits(reader)), None)


def _weight(program: Program, node: fx.Node) -> Tensor | None:
    if node.op != "call_function" or kind_and_policy(node)[0] != "conv" or not isinstance(node.args[1], fx.Node):
        return None
    constants: Mapping[str, Tensor] = program.constants
    return constants.get(str(node.args[1].target))


def _is_depthwise(program: Program, node: fx.Node) -> bool:
    weight = _weight(program, node)
    return weight is not None and convolution_groups(node) > 1 and weight.shape[1] == 1


def _is_pointwise(program: Program, node: fx.Node) -> bool:
    weight = _weight(program, node)
    return weight is not None and convolution_groups(node) == 1 and set(weight.shape[2:]) == {1}
