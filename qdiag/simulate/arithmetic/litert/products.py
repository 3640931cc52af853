"""Sums of products: CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED and BATCH_MATMUL."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

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
)
from qdiag.simulate.arithmetic.litert.fixed_point import (
    Multiplier,
    Scaled,
    once_rounded,
    rounded_up_twice,
    twice_rounded,
)
from qdiag.simulate.arithmetic.litert.rule import (
    Kernels,
    Rule,
    in_lanes,
    lowest_of,
    number,
    scaled,
    scaled_in_float,
    zero_point,
)
from qdiag.simulate.arithmetic.operands import Operands
from qdiag.simulate.arithmetic.saturating import Sums

_LANES = 8
"""Channels that the runtime's own kernels for depthwise and transposed convolutions work on at once."""


@dataclass(frozen=True, eq=False)
class WeightedSums(Rule):
    """Convolutions and linear layers: int32 sums with an int32 bias, which wrap, times one number.

    `acc = wrap32(sum (q_x - z_x) q_w + q_b)`. With XNNPACK `m = f32(f32(s_x s_w) / s_y)` and
    `q_y = round(f32(f32(acc) m)) + z_y`; elsewhere `m = s_x s_w / s_y` in float64 as mantissa and shift, and
    `f32(s_x s_w) / s_y` in uint8 and in linear layers with one scale.

    Attributes:
        source, weight: quantizers of input and weight.
        kind: its operator.
        accumulator_bits: of a narrower accumulator, which saturates.
    """

    name: ClassVar[str] = "weighted_sums"

    source: Affine = field(kw_only=True)
    weight: Affine = field(kw_only=True)
    kind: Literal["conv", "depthwise", "transposed", "linear"] = "conv"
    accumulator_bits: int = ACCUMULATOR_BITS

    @cached_property
    def key(self) -> Hashable:
        numbers = (self.source.key, self.weight.key, self.output.key)
        return (self.kernels, self.name, *numbers, self.kind, self.lowest, self.accumulator_bits)

    @property
    def _scaled(self) -> Scaled:
        if self.kernels == "tflite":
            return twice_rounded if self.kind == "depthwise" else rounded_up_twice
        return once_rounded if self.kind == "linear" else twice_rounded

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if op.weights is None or op.weights.integers is None:
            return None
        total = self._limited(op, self._total(op, args, kwargs))
        if self.kernels == "xnnpack":
            multiplier = number(self.source.scale) * self.weight.scale.cpu() / number(self.output.scale)
            return scaled_in_float(total, along_channels(multiplier, total, op), self.output)
        scales = self.source.scale.cpu().double() * self.weight.scale.cpu().double()
        if not self.weight.scale.ndim and (self.kind == "linear" or not self.lowest):
            scales = (number(self.source.scale) * number(self.weight.scale)).double()
        by = Multiplier.of(scales / self.output.scale.cpu().double())
        channels = Multiplier(along_channels(by.mantissa, total, op), along_channels(by.shift, total, op))
        if self.kernels == "tflite" and self.kind in ("depthwise", "transposed") and self.lowest:
            return in_lanes(total, channels, _LANES, self.output)
        return scaled(total, channels, self._scaled, self.output)

    def sums(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sums:
        """The sums as they are and as the accumulator leaves them, real units, float64."""
        total = self._total(op, args, kwargs)
        scale = along_channels(self.source.scale.double().cpu() * self.weight.scale.double().cpu(), total, op)
        return Sums(total.double() * scale, self._limited(op, total).double() * scale)

    def _total(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        return exact_sums(op, integers(args[0], self.source), args, kwargs, magnitude(self.source))

    def _limited(self, op: LayerOp, total: Tensor) -> Tensor:
        assert op.weights is not None and op.weights.integers is not None
        return accumulated(total, op.weights.integers, magnitude(self.source), self.accumulator_bits)


@dataclass(frozen=True, eq=False)
class ActivationProduct(Rule):
    """BATCH_MATMUL of two activations: `M(s_a s_b / s_y)`, twice rounded; XNNPACK, which wants a zero point of 0 of the
    second: by one float32 number.
    """

    name: ClassVar[str] = "activation_product"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        left, right = self.quantizer(op, 0), self.quantizer(op, 1)
        if left is None or right is None or len(args) != 2 or kwargs:
            return None
        x, y = integers(args[0], left), integers(args[1], right)
        total = exact_product(x, y, op, x.shape[-1] * magnitude(left) * magnitude(right))
        if self.kernels == "xnnpack" and not zero_point(right):
            multiplier = number(left.scale) * number(right.scale) / number(self.output.scale)
            return scaled_in_float(total, multiplier.to(total.device), self.output)
        scales = left.scale.cpu().double() * right.scale.cpu().double()
        return scaled(total, Multiplier.of(scales / self.output.scale.cpu().double()), twice_rounded, self.output)


def weighted_sums(
    kernels: Kernels, plan: QuantPlan, layer: Layer, operands: Operands, output: Affine
) -> WeightedSums | None:
    """The rule of a layer with weights; None where LiteRT has no integer kernel for it."""
    found, own = plan.integer_operands(layer), plan.layers[layer.name]
    if found is None or own.source is not None or not all(map(is_byte, found)):
        return None
    if layer.kind == "conv_transpose" and layer.groups > 1:
        return None
    has_bias = layer.bias is not None or own.bias_shift is not None
    if has_bias and (own.bias or plan.scheme.bias_of(layer.name)) != "int32":
        return None
    return WeightedSums(
        *(kernels, operands, output),
        source=found[0],
        weight=found[1],
        lowest=lowest_of(plan),
        kind=_kind(layer),
        accumulator_bits=min(plan.scheme.accumulator_bits, ACCUMULATOR_BITS),
    )


def _kind(layer: Layer) -> Literal["conv", "depthwise", "transposed", "linear"]:
    if layer.kind == "conv_transpose":
        return "transposed"
    if layer.kind == "linear":
        return "linear"
    return "depthwise" if layer.is_depthwise else "conv"
