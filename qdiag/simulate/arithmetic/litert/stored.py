"""Operators that files of other tools leave to kernels of int8, and that files written here have in float."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.litert.fixed_point import (
    Multiplier,
    by_15_bits,
    doubled_high,
    shifted_down,
    twice_rounded,
)
from qdiag.simulate.arithmetic.litert.functions import FUNCTIONS, inverse_root
from qdiag.simulate.arithmetic.litert.pooling import delegated_sum, reduced_axes
from qdiag.simulate.arithmetic.litert.requantized import levels, looked_up
from qdiag.simulate.arithmetic.litert.rule import LOWEST, Rule, away, number
from qdiag.simulate.arithmetic.litert.softmax import reciprocal

_BYTE = 256
_NORM_SCALE, _NORM_BITS = 1.0 / 128.0, 7
_NORM = ("maximum", "sqrt", "sum", "square")
"""Of L2_NORMALIZATION, from the last operation to the first."""
_SHIFT, _REGISTER = 7, 32


@dataclass(frozen=True, eq=False)
class Function(Rule):
    """ABS, NEG, SQRT, RSQRT and LOG, see `functions.py`."""

    name: ClassVar[str] = "function"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source, name = self.quantizer(op, 0), operation_name(op.node)
        if source is None or name not in FUNCTIONS or not bool(torch.isfinite(args[0]).all()):
            return None
        steps = FUNCTIONS[name](levels(source), source, self.output)
        return looked_up(args[0], source, steps.float() * float(self.output.scale))


@dataclass(frozen=True, eq=False)
class Slopes(Rule):
    """PRELU: `M(f32(s_x / s_y)) (q_x - z_x)`, and below 0 `M(f32(f32(s_x s_a) / s_y)) (q_x - z_x) (q_a - z_a)`."""

    name: ClassVar[str] = "slopes"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source, slopes = self.quantizer(op, 0), self.quantizer(op, 1)
        if source is None or slopes is None:
            return None
        steps = integers(args[0], source).to(torch.int64)
        shape = [1, -1, *[1] * (steps.ndim - 2)] if args[1].ndim == 1 and steps.ndim > 1 else args[1].shape
        factors = integers(args[1], slopes).to(torch.int64).reshape(shape)
        ratio = number(source.scale) / number(self.output.scale)
        below = number(source.scale) * number(slopes.scale) / number(self.output.scale)
        above = twice_rounded(steps, _placed(ratio, steps))
        found = torch.where(steps >= 0, above, twice_rounded(steps * factors, _placed(below, steps)))
        return found.float() * float(self.output.scale)


@dataclass(frozen=True, eq=False)
class SquaredDifference(Rule):
    """As ADD with 7 bits: `d = a' - b'`, `M(t^2 / (2^14 s_y)) d^2`, twice rounded each."""

    name: ClassVar[str] = "squared_difference"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        left, right = self.operand(op, args, 0), self.operand(op, args, 1)
        if left is None or right is None:
            return None
        real = [one[1].double() for one in (left, right)]
        twice = 2.0 * max(real)
        a, b = (
            twice_rounded(one[0].to(torch.int64) << _SHIFT, _placed(scale / twice, one[0]))
            for one, scale in zip((left, right), real, strict=True)
        )
        by = twice * twice / ((1 << 2 * _SHIFT) * self.output.scale.cpu().double())
        return twice_rounded((a - b).square(), _placed(by, a)).float() * float(self.output.scale)


@dataclass(frozen=True, eq=False)
class Quotient(Rule):
    """DIV: the reciprocal of `|q_b - z_b|` in 31 bits times `q_a - z_a`, shifted as far as it goes, and
    `M(f32(s_a / f32(s_b s_y)))` of that. A quotient of a few steps may ask for a shift by 32 bits and more; x86 takes
    the lowest five bits of that number. Also the division of an L2_NORMALIZATION.
    """

    name: ClassVar[str] = "quotient"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source, divisor = self.quantizer(op, 0), self.quantizer(op, 1)
        if source is None or kwargs or not isinstance(args[1], Tensor):
            return None
        if divisor is None:
            axis = normalized_axis(op.node)
            return None if axis is None else self._normalized(args[0], source, axis)
        x, y = (integers(value, one).to(torch.int64) for value, one in zip(args, (source, divisor), strict=True))
        x, y = torch.where(y < 0, -x, x), y.abs().clamp(min=1)
        real = number(source.scale) / (number(divisor.scale) * number(self.output.scale))
        by = _placed(real.double(), x)
        bits = torch.frexp(y.double()).exponent.to(torch.int64)
        inverse = reciprocal((y << (32 - bits)) - (1 << 31))
        magnitude = torch.where(x >= 0, x, 2 * -x - 1)
        used = torch.frexp(magnitude.double()).exponent.to(torch.int64)
        headroom = torch.where(x >= 0, 31 - used, 32 - used)
        quotient = doubled_high(x << headroom, inverse)
        shift = by.shift - (bits - 1) - headroom
        found = _shifted_in_32_bits(doubled_high(quotient, by.mantissa), -shift)
        return found.float() * float(self.output.scale)

    def _normalized(self, x: Tensor, source: Affine, axis: int) -> Tensor:
        """`M(1 / sqrt(sum (q_x - z_x)^2)) 2^7 (q_x - z_x)`, the root in 31 bits."""
        steps = integers(x, source).to(torch.int64)
        root = inverse_root(steps.square().sum(axis, keepdim=True))
        found = twice_rounded(steps, Multiplier(root.mantissa, root.shift + _NORM_BITS))
        return found.float() * float(self.output.scale)


def normalized_axis(node: torch.fx.Node) -> int | None:
    """The axis of `x / max(|x|, least)`; None for another quotient."""
    x, at = node.args[:2]
    found = []
    for name in _NORM:
        if not isinstance(at, torch.fx.Node) or operation_name(at) != name:
            return None
        found.append(at)
        at = at.args[0]
    axes = found[2].args[1]
    return int(axes[0]) if at is x and isinstance(axes, list | tuple) and len(axes) == 1 else None  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Total(Rule):
    """SUM: `round(f32(f32(f32(sum q_x) r) + b))`, `r = f32(s_x / s_y)`, `b = f32(f32(-z_x r) N)`, halves away from 0.

    XNNPACK: see `delegated_sum`.
    The reference takes bytes of int8 for uint8: `q_y = wrap8(clip(M(s_x / s_y) (sum (q_x mod 256) - N z_x) + z_y, 0,
    255))`, twice rounded.
    """

    name: ClassVar[str] = "total"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source, x = self.quantizer(op, 0), args[0]
        if source is None or kwargs.get("dtype") is not None:
            return None
        axes, keeps = reduced_axes(x, args, kwargs)
        zero, own = int(source.zero_point), int(self.output.zero_point)
        stored = integers(x, source).to(torch.int64) + zero
        count = stored.numel() // max(stored.sum(axes).numel(), 1)
        if self.kernels == "tflite-ref":
            total = torch.remainder(stored, _BYTE).sum(axes, keepdim=keeps) - count * zero
            real = source.scale.cpu().double() / self.output.scale.cpu().double()
            found = (twice_rounded(total, _placed(real, total)) + own).clamp(0, _BYTE - 1)
            steps = torch.remainder(found - LOWEST, _BYTE) + LOWEST - own
            return steps.float() * float(self.output.scale)
        ratio = number(source.scale) / number(self.output.scale)
        if self.kernels == "xnnpack":
            steps = delegated_sum(stored.sum(axes, keepdim=keeps), float(count * zero), ratio, float(own))
            return steps * float(self.output.scale)
        bias = number(float(-zero)) * ratio * number(float(count))
        total = stored.sum(axes, keepdim=keeps).float() * ratio.to(x.device) + bias.to(x.device)
        return away(total) * float(self.output.scale)


@dataclass(frozen=True, eq=False)
class Power(Rule):
    """REDUCE_PROD over one axis of n values: `p = q_1 - z_x`, then `p = m p (q_i - z_x)` one by one, and once more
    times m; `m = s_x / s_y^(1/n)` with 15 bits, each product rounded once, halves up, and wrapped to 32 bits.
    """

    name: ClassVar[str] = "product of an axis"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source, x = self.quantizer(op, 0), args[0]
        if source is None or kwargs.get("dtype") is not None:
            return None
        axis, keeps = int(args[1]) % x.ndim, bool(args[2]) if len(args) > 2 else bool(kwargs.get("keepdim", False))
        steps = integers(x, source).to(torch.int64)
        root = self.output.scale.cpu().double() ** (1.0 / steps.shape[axis])
        by = _placed(source.scale.cpu().double() / root, steps)
        first, *others = steps.unbind(axis)
        for one in others:
            first = _wrapped(by_15_bits(first * one, by))
        found = _wrapped(by_15_bits(first, by)).float() * float(self.output.scale)
        return found.unsqueeze(axis) if keeps else found


def _wrapped(x: Tensor) -> Tensor:
    """As int32 holds it."""
    return torch.remainder(x + (1 << 31), 1 << 32) - (1 << 31)


def _shifted_in_32_bits(x: Tensor, bits: Tensor) -> Tensor:
    """`x / 2^bits`, halves away from 0, as a shift of 32-bit registers gives it."""
    beyond = (x >> (bits - _REGISTER).clamp(min=0)) + (x >= 0).to(torch.int64)
    return torch.where(bits < _REGISTER, shifted_down(x, bits.clamp(max=_REGISTER - 1)), beyond)


def _placed(real: Tensor, beside: Tensor) -> Multiplier:
    """Of a real number, on the device of integers."""
    return Multiplier.of(real.double()).to(beside.device)
