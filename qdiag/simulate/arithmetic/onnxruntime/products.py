"""Sums of products: QLinearConv, QGemm and QLinearMatMul."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import (
    ACCUMULATOR_BITS,
    accumulated,
    along_channels,
    exact_product,
    exact_sums,
    integers,
    is_byte,
    magnitude,
    may_wrap,
)
from qdiag.simulate.arithmetic.kernel_pairs import Bytes, lost_in_pairs, subtract_lost
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule, number, requantized
from qdiag.simulate.arithmetic.operands import Operands
from qdiag.simulate.arithmetic.saturating import Sums


@dataclass(frozen=True, eq=False)
class WeightedSums(Rule):
    """Convolutions and linear layers: int32 sums with an int32 bias, which wrap, times one float32 number.

    `acc = wrap32(sum (q_x - z_x)(q_w - z_w) + q_b)`, `m = f32(f32(s_x s_w) / s_y)`,
    `q_y = clamp(round(f32(f32(acc) m)) + z_y)`.

    Attributes:
        source, weight: quantizers of input and weight.
        accumulator_bits: of a narrower accumulator, which saturates. adds_pairs: unsigned
            integers times signed ones saturate in pairs, see `kernel_pairs`.
    """

    name: ClassVar[str] = "weighted_sums"

    source: Affine = field(kw_only=True)
    weight: Affine = field(kw_only=True)
    accumulator_bits: int = ACCUMULATOR_BITS
    adds_pairs: bool = False

    @cached_property
    def key(self) -> Hashable:
        numbers = (self.source.key, self.weight.key, self.output.key)
        return ("ort", self.name, *numbers, self.accumulator_bits, self.adds_pairs)

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if op.weights is None or op.weights.integers is None:
            return None
        total = self._limited(op, args, *self._total(op, args, kwargs))
        multiplier = number(self.source.scale) * self.weight.scale.cpu() / number(self.output.scale)
        return requantized(total, along_channels(multiplier, total, op), self.output)

    def sums(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sums:
        """The sums as they are and as the accumulator leaves them, real units, float64."""
        x, total = self._total(op, args, kwargs)
        scale = along_channels(self.source.scale.double().cpu() * self.weight.scale.double().cpu(), total, op)
        exact = total.double() * scale
        return Sums(exact, self._limited(op, args, x, total).double() * scale)

    def can_wrap(self, op: LayerOp) -> bool:
        """See `Wraps`."""
        return may_wrap(op, magnitude(self.source), self.accumulator_bits)

    def _total(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        x = integers(args[0], self.source)
        return x, exact_sums(op, x, args, kwargs, magnitude(self.source))

    def _limited(self, op: LayerOp, args: tuple[Any, ...], x: Tensor, total: Tensor) -> Tensor:
        """What pairs in int16 and the accumulator leave of the sums, which are changed in place."""
        assert op.weights is not None and op.weights.integers is not None
        if self._has_pairs(op):
            subtract_lost(total, op, args, x, self._bytes)
        return accumulated(op, total, magnitude(self.source), self.accumulator_bits)

    @property
    def may_lose_pairs(self) -> bool:
        """See `AddsPairs`."""
        return self.adds_pairs

    def lost_in_pairs(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """See `AddsPairs`."""
        if op.weights is None or op.weights.integers is None or not self._has_pairs(op):
            return None
        return lost_in_pairs(op, args, kwargs, integers(args[0], self.source), self._bytes)

    @property
    def _bytes(self) -> Bytes:
        return Bytes(float(self.source.zero_point), float(self.source.quant_max))

    def _has_pairs(self, op: LayerOp) -> bool:
        """A depthwise convolution with one filter for each channel has a kernel of its own, whose sums are exact."""
        assert op.layer is not None and op.weights is not None and op.weights.weight is not None
        return self.adds_pairs and not (op.layer.is_depthwise and op.weights.weight.shape[0] == op.layer.groups)


@dataclass(frozen=True, eq=False)
class ActivationProduct(Rule):
    """A matrix product of two activations, re-quantized like one with weights."""

    name: ClassVar[str] = "activation_product"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        left, right = self.quantizer(op, 0), self.quantizer(op, 1)
        if left is None or right is None or len(args) != 2 or kwargs:
            return None
        x, y = integers(args[0], left), integers(args[1], right)
        total = exact_product(x, y, op, x.shape[-1] * magnitude(left) * magnitude(right))
        multiplier = number(left.scale) * number(right.scale) / number(self.output.scale)
        return requantized(total, multiplier.to(total.device), self.output)


def weighted_sums(plan: QuantPlan, layer: Layer, operands: Operands, output: Affine) -> WeightedSums | None:
    """The rule of a layer with weights; None where onnxruntime has no integer kernel for it."""
    found = plan.integer_operands(layer)
    own = plan.layers[layer.name]
    if found is None or own.source is not None or not all(map(is_byte, found)):
        return None
    scheme = plan.scheme
    return WeightedSums(
        operands,
        output,
        source=found[0],
        weight=found[1],
        accumulator_bits=min(scheme.accumulator_bits, ACCUMULATOR_BITS),
        adds_pairs=scheme.pair_saturation and found[0].quant_min >= 0 > found[1].quant_min,
    )
