"""Sums of products of values that are rounded when they are read, by each layer that multiplies them.

In the MX formats and NVFP4 only the operands of dot products are in blocks; sums, activation functions and whatever
else stands between them compute in float (MX v1.0, section 6.2; Rouhani et al., arXiv 2310.10537, section 3). So a
tensor is not rounded where it is made, but by each layer that multiplies it, along the axis over which it adds up.

Binary networks take the sign of what a layer with weights reads, and of nothing else (arXiv 1603.05279, section 3.2): a
shortcut that reads the same output adds the value as it is.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor, fx

from qdiag.capture.ops import has_weight, operation_name
from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.einsum_axes import summed_axes
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
_EINSUM = "einsum"


def operands_of(node: fx.Node, layer: Layer, args: Sequence[Any]) -> tuple[Any, ...]:
    """Of an operation's arguments, the values that it multiplies and that are no weight of its own.

    Empty for operations that add up no products, and for an `einsum` whose sums `summed_axes` does not follow.
    """
    if operation_name(node) == _EINSUM:
        return tuple(args[1]) if _einsum_axes(node) is not None else ()
    return tuple(args[place] for place in _places(node, layer))


def is_untold_product(node: fx.Node) -> bool:
    """An `einsum` of which nobody knows along which axes it adds products up."""
    return operation_name(node) == _EINSUM and _einsum_axes(node) is None


@dataclass(frozen=True)
class RoundedOperands:
    """Float arithmetic on operands that are rounded as they are read; weights come rounded already.

    Attributes:
        quantizers: of the operands, in the order of `operands_of`; None leaves one in float.
    """

    quantizers: tuple[Quantizer | None, ...]

    @cached_property
    def key(self) -> Hashable:
        keys = (quantizer.key if quantizer is not None else None for quantizer in self.quantizers)
        return ("rounded_operands", *keys)

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return FAKE_QUANTIZED.run(op, self.rounded(op, args), kwargs)

    def rounded(self, op: LayerOp, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments with the operands rounded."""
        assert op.layer is not None
        found = operands_of(op.node, op.layer, args)
        rounded = [
            value
            if quantizer is None or not isinstance(value, Tensor)
            else quantizer.read(value, _summed_axes(op, args, order))
            for order, (value, quantizer) in enumerate(zip(found, self.quantizers, strict=True))
        ]
        if operation_name(op.node) == _EINSUM:
            return (args[0], rounded, *args[2:])
        changed = list(args)
        for place, value in zip(_places(op.node, op.layer), rounded, strict=True):
            changed[place] = value
        return tuple(changed)


def rounded_operands(plan: QuantPlan, layer: Layer) -> RoundedOperands | None:
    """The arithmetic of a layer whose plan has quantizers for its operands."""
    operands = plan.layers[layer.name].operands
    return RoundedOperands(operands) if any(quantizer is not None for quantizer in operands) else None


def _places(node: fx.Node, layer: Layer) -> tuple[int, ...]:
    if has_weight(layer.kind):
        return (0,) if layer.weight is not None else (0, 1)
    return _FACTORS.get(operation_name(node), ())


def _summed_axes(op: LayerOp, args: tuple[Any, ...], order: int) -> tuple[int, ...]:
    """The axes of an operand along which products are added: the input channels, or the inner axes of matrices."""
    assert op.layer is not None
    if operation_name(op.node) == _EINSUM:
        axes = _einsum_axes(op.node)
        assert axes is not None, "it has operands"
        return axes[order]
    if op.layer.kind == "linear":
        return (-1,)
    if has_weight(op.layer.kind):
        if order == 1:  # a weight that is computed from data
            return (0,) if op.layer.kind == "conv_transpose" else (1,)
        return (int(args[0].ndim - args[1].ndim + 1),)  # without a batch axis, channels come first
    return (-1,) if order == 0 or args[_places(op.node, op.layer)[order]].ndim == 1 else (-2,)


def _einsum_axes(node: fx.Node) -> tuple[tuple[int, ...], ...] | None:
    equation, factors = node.args[0], node.args[1]
    assert isinstance(equation, str) and isinstance(factors, list | tuple)
    return summed_axes(equation, [factor.meta["val"].ndim for factor in factors if isinstance(factor, fx.Node)])
