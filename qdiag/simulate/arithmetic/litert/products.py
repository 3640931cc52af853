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
    may_wrap,
)
from qdiag.simulate.arithmetic.litert.fixed_point import (
    Multiplier,
    Scaled,
    by_15_bits,
    rounded_up_twice,
    twice_rounded,
)
from qdiag.simulate.arithmetic.litert.rule import (
    Kernels,
    Rule,
    in_lanes,
    is_int16,
    is_known,
    lowest_of,
    number,
    scaled,
    scaled_in_double,
    scaled_in_float,
    zero_point,
)
from qdiag.simulate.arithmetic.operands import Operands
from qdiag.simulate.arithmetic.saturating import Sums

_LONG = 64
_LANES = 8
"""Channels that the runtime's own kernels for depthwise and transposed convolutions work on at once."""


@dataclass(frozen=True, eq=False)
class WeightedSums(Rule):
    """Convolutions and linear layers: int32 sums with an int32 bias, which wrap, times one number.

    `acc = wrap32(sum (q_x - z_x) q_w + q_b)`. With XNNPACK `m = f32(f32(s_x s_w) / s_y)` and
    `q_y = round(f32(f32(acc) m)) + z_y`; elsewhere `m = s_x s_w / s_y` in float64 as mantissa and shift, and
    `f32(s_x s_w) / s_y` in uint8 and in linear layers with one scale. Linear layers of the reference, and those of
    int16 with a bias of int64, multiply in float64; other layers of int16 with such a bias by 15 bits of the mantissa.

    Attributes:
        source, weight: quantizers of input and weight.
        kind: its operator. bias: its type in the file; with int16 values, that of the sums.
        accumulator_bits: of a narrower accumulator, which saturates.
    """

    name: ClassVar[str] = "weighted_sums"

    source: Affine = field(kw_only=True)
    weight: Affine = field(kw_only=True)
    kind: Literal["conv", "depthwise", "transposed", "linear"] = "conv"
    bias: Literal["int32", "int64", "none"] = "int32"
    accumulator_bits: int = ACCUMULATOR_BITS

    @cached_property
    def key(self) -> Hashable:
        numbers = (self.source.key, self.weight.key, self.output.key)
        return (self.kernels, self.name, *numbers, self.kind, self.bias, self.lowest, self.accumulator_bits)

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if op.weights is None or op.weights.integers is None:
            return None
        total = self._limited(op, self._total(op, args, kwargs))
        if self.kernels == "xnnpack" and not self.is_wide:
            multiplier = number(self.source.scale) * self.weight.scale.cpu() / number(self.output.scale)
            return scaled_in_float(total, along_channels(multiplier, total, op), self.output)
        scales = self.source.scale.cpu().double() * self.weight.scale.cpu().double()
        how = self._scaled
        if how is None:
            multiplier = scales / self.output.scale.cpu().double()
            return scaled_in_double(total, along_channels(multiplier, total, op), self.output)
        if not self.weight.scale.ndim and (self.kind == "linear" or not self.lowest):
            scales = (number(self.source.scale) * number(self.weight.scale)).double()
        by = Multiplier.of(scales / self.output.scale.cpu().double())
        channels = Multiplier(along_channels(by.mantissa, total, op), along_channels(by.shift, total, op))
        is_grouped = self.kernels != "tflite-ref" and self.kind in ("depthwise", "transposed") and how is not by_15_bits
        if is_grouped and (self.lowest or self.is_wide):
            return in_lanes(total, channels, _LANES, self.output)
        return scaled(total, channels, how, self.output)

    @property
    def _scaled(self) -> Scaled | None:
        """None for a product in float64."""
        if self.is_wide and self.bias == "int64" and self.kind != "linear":
            return by_15_bits
        if self.kind == "linear" and (self.kernels == "tflite-ref" or (self.is_wide and self.bias == "int64")):
            return None
        if self.kernels == "tflite-ref":
            return twice_rounded
        return twice_rounded if self.kind == "depthwise" else rounded_up_twice

    def sums(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sums:
        """The sums as they are and as the accumulator leaves them, real units, float64."""
        total = self._total(op, args, kwargs)
        scale = along_channels(self.source.scale.double().cpu() * self.weight.scale.double().cpu(), total, op)
        return Sums(total.double() * scale, self._limited(op, total).double() * scale)

    def can_wrap(self, op: LayerOp) -> bool:
        """See `Wraps`."""
        return may_wrap(op, magnitude(self.source), self.accumulator_bits)

    def _total(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        return exact_sums(op, integers(args[0], self.source), args, kwargs, magnitude(self.source))

    def _limited(self, op: LayerOp, total: Tensor) -> Tensor:
        assert op.weights is not None and op.weights.integers is not None
        return accumulated(op, total, magnitude(self.source), self.accumulator_bits)


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
        if self.kernels == "xnnpack" and not self.is_wide and not zero_point(right):
            multiplier = number(left.scale) * number(right.scale) / number(self.output.scale)
            return scaled_in_float(total, multiplier.to(total.device), self.output)
        scales = left.scale.cpu().double() * right.scale.cpu().double()
        how = by_15_bits if self.is_wide else twice_rounded
        return scaled(total, Multiplier.of(scales / self.output.scale.cpu().double()), how, self.output)


def weighted_sums(
    kernels: Kernels, plan: QuantPlan, layer: Layer, operands: Operands, output: Affine
) -> WeightedSums | None:
    """The rule of a layer with weights; None where LiteRT has no integer kernel for it."""
    found, own = plan.integer_operands(layer), plan.layers[layer.name]
    if found is None or own.source is not None or not is_known(found[0]) or not is_byte(found[1]):
        return None
    is_wide = is_int16(found[0]) or is_int16(output)
    if layer.kind == "conv_transpose" and layer.groups > 1:
        return None
    has_bias = layer.bias is not None or own.bias_shift is not None
    types = ("int32", "int64") if is_wide else ("int32",)
    if has_bias and (own.bias or plan.scheme.bias_of(layer.name)) not in types:
        return None
    return WeightedSums(
        *(kernels, operands, output),
        source=found[0],
        weight=found[1],
        lowest=lowest_of(plan),
        kind=_kind(layer),
        bias=(bias := _bias(plan, layer) if is_wide else "int32"),
        accumulator_bits=_accumulator_bits(plan, is_long=bias != "int32"),
    )


def _bias(plan: QuantPlan, layer: Layer) -> Literal["int32", "int64", "none"]:
    """Beside values of int16: int64 in the files that are written here, and in others what they have."""
    own = plan.layers[layer.name]
    if layer.bias is None and own.bias_shift is None:
        return "none" if layer.kind == "linear" else "int64"
    is_short = own.stored_bias is not None and (own.bias or plan.scheme.bias_of(layer.name)) == "int32"
    return "int32" if is_short else "int64"


def _accumulator_bits(plan: QuantPlan, *, is_long: bool) -> int:
    """Sums of int16 have 64 bits, unless the scheme asks for fewer than 32."""
    asked = plan.scheme.accumulator_bits
    return _LONG if is_long and asked >= ACCUMULATOR_BITS else min(asked, ACCUMULATOR_BITS)


def _kind(layer: Layer) -> Literal["conv", "depthwise", "transposed", "linear"]:
    if layer.kind == "conv_transpose":
        return "transposed"
    if layer.kind == "linear":
        return "linear"
    return "depthwise" if layer.is_depthwise else "conv"
