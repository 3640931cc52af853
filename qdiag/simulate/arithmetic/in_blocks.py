"""Sums of products of values in blocks: what a layer multiplies is cut into blocks when it is read.

In the MX formats and NVFP4 only the operands of dot products are in blocks; sums, activation functions and whatever
else stands between them compute in float (MX v1.0, section 6.2; Rouhani et al., arXiv 2310.10537, section 3). So a
tensor is not rounded where it is made, but by each layer that multiplies it, along the axis over which it adds up.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, fx

from qdiag.capture.ops import has_weight, operation_name
from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.block_float import BlockFloat
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED

_FACTORS = {
    "matmul": (0, 1),
    "bmm": (0, 1),
    "mm": (0, 1),
    "mv": (0, 1),
    "dot": (0, 1),
    "addmm": (1, 2),
    "baddbmm": (1, 2),
}
"""Places of the two factors among the arguments of a product of two activations."""


def operand_places(node: fx.Node, layer: Layer) -> tuple[int, ...]:
    """Places, among the arguments of an operation, of the values that it multiplies and that are no weight of its own;
    empty for operations that add up no products, and for `einsum`, whose axes are not followed."""
    if has_weight(layer.kind):
        return (0,) if layer.weight is not None else (0, 1)
    return _FACTORS.get(operation_name(node), ())


@dataclass(frozen=True)
class InBlocks:
    """Float arithmetic on operands in blocks; weights come in blocks already.

    Attributes:
        quantizers: of the operands, in the order of `operand_places`; None leaves one in float.
    """

    quantizers: tuple[BlockFloat | None, ...]

    @cached_property
    def key(self) -> Hashable:
        return ("in_blocks", *(quantizer.key if quantizer is not None else None for quantizer in self.quantizers))

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return FAKE_QUANTIZED.run(op, self.rounded(op, args), kwargs)

    def rounded(self, op: LayerOp, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments with the operands in blocks."""
        assert op.layer is not None
        changed = list(args)
        places = operand_places(op.node, op.layer)
        for order, (place, quantizer) in enumerate(zip(places, self.quantizers, strict=True)):
            if quantizer is not None and isinstance(args[place], Tensor):
                changed[place] = quantizer.in_blocks(args[place], _summed_axis(op.layer, args, place, order))
        return tuple(changed)


def in_blocks(plan: QuantPlan, layer: Layer) -> InBlocks | None:
    """The arithmetic of a layer whose plan has its operands in blocks."""
    operands = plan.layers[layer.name].operands
    return InBlocks(operands) if any(quantizer is not None for quantizer in operands) else None


def _summed_axis(layer: Layer, args: tuple[Any, ...], place: int, order: int) -> int:
    """The axis of an operand along which products are added: the input channels, or the inner axis of matrices."""
    if layer.kind == "linear":
        return -1
    if has_weight(layer.kind):
        if place == 1:  # a weight that is computed from data
            return 0 if layer.kind == "conv_transpose" else 1
        return int(args[0].ndim - args[1].ndim + 1)  # without a batch axis, channels come first
    return -1 if order == 0 or args[place].ndim == 1 else -2
