"""SOFTMAX and LOG_SOFTMAX over the last axis."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.litert.fixed_point import Multiplier, doubled_high, shifted_down, twice_rounded
from qdiag.simulate.arithmetic.litert.int16_functions import OUTPUT_SCALE, softmax
from qdiag.simulate.arithmetic.litert.rule import LOWEST, Rule, number, requantized

_SCALE = 1.0 / 256.0
_ONE = (1 << 31) - 1
_INTEGER_BITS, _SUM_BITS = 5, 12
_LOG_SCALE, _LOG_ZERO_POINT = 1.0 / 16.0, 127
_LOG_BITS, _LOG_SHIFT = _INTEGER_BITS + 1, 31 - _INTEGER_BITS - 4
_LOG_OF_2, _ROOT_OF_HALF, _FOURTH_ROOT_OF_HALF = 1488522236, 1518500250, 1805811301
_LOG_FACTORS = (117049297, 127690142, 1057819769, 638450708)
"""Of the rational function for the logarithm near 1, in 31 bits."""
_FACTORS = ((-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401), (4, 242))
"""`exp(-2^k)` as integers of 31 bits, by k."""


@dataclass(frozen=True, eq=False)
class Softmax(Rule):
    """The runtime's own kernel, with XNNPACK as well: `e = f32(exp(-s_x (max q_x - q_x)))`, added up one by one in
    float32, and `q_y = round(f32(e f32(1 / f32(256^-1 sum e)))) - 128`. The reference does the same in 31 bits. The
    integers at 1/256 are quantized anew for an output at another scale.
    """

    name: ClassVar[str] = "softmax"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source, x = self.quantizer(op, 0), args[0]
        axis = int(args[1]) % x.ndim
        if source is None or not bool(torch.isfinite(x).all()):
            return None
        below = integers(x, source).to(torch.int64).movedim(axis, -1)
        below = below.amax(-1, keepdim=True) - below
        if self.is_wide:
            own = Affine(torch.tensor(OUTPUT_SCALE), torch.tensor(0.0), -32768, 32767)
            made = softmax(below, number(source.scale))
            steps = requantized(made, own, self.output, self.kernels)
            return steps.movedim(-1, axis).float() * float(self.output.scale)
        made = _in_integers(below, source) if self.kernels == "tflite-ref" else _in_float(below, source)
        whole = Affine(torch.tensor(_SCALE), torch.tensor(float(LOWEST)), LOWEST, LOWEST + 255)
        steps = requantized(made.clamp(0, 255), whole, self.output, self.kernels)
        return steps.movedim(-1, axis).float() * float(self.output.scale)


@dataclass(frozen=True, eq=False)
class LogSoftmax(Rule):
    """LOG_SOFTMAX, whose output has a scale of 1/16 and a zero point of 127: `e` and its sum as above, `l = f32(log(sum
    e))`, `q_y = round(f32(f32(q_x f32(s_x / s_y)) - f32(f32(f32(s_x max q_x) + l) / s_y))) + 127`. The reference
    does the same in 31 bits.
    """

    name: ClassVar[str] = "log_softmax"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source, x = self.quantizer(op, 0), args[0]
        if source is None or not bool(torch.isfinite(x).all()):
            return None
        axis, zero = int(args[1]) % x.ndim, int(source.zero_point)
        stored = integers(x, source).to(torch.int64).movedim(axis, -1) + zero
        found = (_log_in_integers if self.kernels == "tflite-ref" else _log_in_float)(stored, source)
        return found.movedim(-1, axis).float() * _LOG_SCALE

    @staticmethod
    def has_scale_of(output: Affine) -> bool:
        """The only numbers that kernels take for an output."""
        return float(output.scale) == _LOG_SCALE and int(output.zero_point) == _LOG_ZERO_POINT


def _log_in_float(stored: Tensor, source: Affine) -> Tensor:
    """Integers of 1/16, less their zero point."""
    top = stored.amax(-1, keepdim=True)
    scale = number(source.scale).to(stored.device)
    total = _summed(_exponentials(source, stored.device)[top - stored]).unsqueeze(-1)
    offset = (scale * top.float() + torch.log(total.double()).float()) / _LOG_SCALE
    return torch.round((scale / _LOG_SCALE) * stored.float() - offset).to(torch.int64)


def _log_in_integers(stored: Tensor, source: Affine) -> Tensor:
    """The same in fixed point, after gemmlowp's logarithm of numbers from 1 on."""
    below = stored.amax(-1, keepdim=True) - stored
    by, furthest = _input_multiplier(source)
    raw = doubled_high(-below << int(by.shift), int(by.mantissa))
    total = torch.where(below <= furthest, shifted_down(_exp(raw), _SUM_BITS), 0).sum(-1, keepdim=True)
    logarithm = _log(total)
    inverse = Multiplier.of(torch.tensor(float(1 << (31 - int(by.shift))) / float(by.mantissa), dtype=torch.float64))
    last = twice_rounded(logarithm - _ONE - 1, inverse.to(stored.device)).clamp(min=-furthest - 1)
    found = shifted_down(raw - logarithm, _LOG_SHIFT)
    return torch.where(-below > last, found, LOWEST - _LOG_ZERO_POINT)


def _log(raw: Tensor) -> Tensor:
    """`log(x)` with 5 bits before the point, of `x >= 1` with 12: that of a power of 2, and a rational function near 1.

    Source: gemmlowp's fixed point, as for `Multiplier`.
    """

    def bits_of(x: Tensor) -> Tensor:
        return torch.frexp(x.double()).exponent.to(torch.int64)

    quarter = shifted_down(torch.tensor(1 << 29), _LOG_BITS).to(raw.device)
    step = 31 - _LOG_BITS
    head = 31 - bits_of(raw)
    near = (doubled_high(raw << head, _ROOT_OF_HALF) << 1).clamp(max=_ONE)
    head_of_less = 31 - bits_of(doubled_high(raw, _ROOT_OF_HALF))
    near = torch.minimum(near, (raw << head_of_less).clamp(max=_ONE))
    power = torch.maximum(
        ((_SUM_BITS - head - 1) << step) + quarter,
        ((_SUM_BITS - head_of_less) << step) - quarter,
    )
    middle = near + _FOURTH_ROOT_OF_HALF
    middle = torch.div(middle + torch.where(middle >= 0, 1, -1), 2, rounding_mode="trunc")
    away_from = 2 * (near - _FOURTH_ROOT_OF_HALF)
    square = doubled_high(away_from, away_from)
    n, d, i, f = _LOG_FACTORS
    above = doubled_high(away_from, near) + doubled_high(doubled_high(away_from, square), n)
    under = doubled_high(middle, i + away_from + doubled_high(square, d)) + doubled_high(away_from, f)
    small = doubled_high(shifted_down(above, _LOG_BITS), reciprocal(under))
    return ((doubled_high(power, _LOG_OF_2) + small) << 1).clamp(-_ONE - 1, _ONE)


def _in_float(below: Tensor, source: Affine) -> Tensor:
    """Integers of 1/256."""
    values = _exponentials(source, below.device)[below]
    inverse = 1.0 / (_summed(values) * _SCALE)
    return torch.floor((values * inverse.unsqueeze(-1)).double() + 0.5).to(torch.int64)


def _exponentials(source: Affine, device: torch.device) -> Tensor:
    """`f32(exp(-s_x d))` for d from 0 to 255."""
    return torch.exp((-number(source.scale) * torch.arange(256).float()).double()).float().to(device)


def _summed(values: Tensor) -> Tensor:
    """Over the last axis, one by one in float32."""
    total = torch.zeros(values.shape[:-1], device=values.device)
    for one in values.unbind(-1):
        total = total + one
    return total


def _input_multiplier(source: Affine) -> tuple[Multiplier, int]:
    """What makes a step of the input a number with 5 bits before the point, and how many steps at most."""
    real = min(float(source.scale.double()) * float(1 << (31 - _INTEGER_BITS)), float(_ONE))
    by = Multiplier.of(torch.tensor(real, dtype=torch.float64))
    most = float((1 << _INTEGER_BITS) - 1) * (1 << (31 - _INTEGER_BITS)) / 2.0 ** int(by.shift)
    return by, math.floor(most)


def _in_integers(below: Tensor, source: Affine) -> Tensor:
    """The same in fixed point, after gemmlowp's exp of negative values and its reciprocal."""
    by, furthest = _input_multiplier(source)
    mantissa, shift = int(by.mantissa), int(by.shift)
    distance = torch.arange(256)
    table = torch.where(distance <= furthest, _exp(doubled_high(-distance << shift, mantissa)), 0).to(below.device)
    values, is_near = table[below], below <= furthest
    total = torch.where(is_near, shifted_down(values, _SUM_BITS), 0).sum(-1, keepdim=True)
    bits = torch.frexp(total.double()).exponent.to(torch.int64)
    inverse = reciprocal((total << (32 - bits)) - (1 << 31))
    exponent = bits - 32 + _SUM_BITS + 31 - 8
    return torch.where(is_near, shifted_down(doubled_high(values, inverse), exponent), 0)


def _exp(raw: Tensor) -> Tensor:
    """`exp(x)` in 31 bits, of `x <= 0` with 5 bits before the point: a polynomial near -1/8, times powers of e."""
    bits = 31 - _INTEGER_BITS
    quarter = 1 << (bits - 2)
    rest = (raw & (quarter - 1)) - quarter
    x = (rest << _INTEGER_BITS) + (1 << 28)
    square = doubled_high(x, x)
    cube, fourth = doubled_high(square, x), doubled_high(square, square)
    third = doubled_high(shifted_down(fourth, 2) + cube, 715827883)
    middle = 1895147668
    found = middle + doubled_high(x + shifted_down(third + square, 1), middle)
    left = rest - raw
    for power, factor in _FACTORS:
        has = (left & (1 << (bits + power))) != 0
        found = torch.where(has, doubled_high(found, factor), found)
    return torch.where(raw == 0, _ONE, found)


def reciprocal(raw: Tensor) -> Tensor:
    """`1 / (1 + x)` in 31 bits, of x from 0 to 1: three steps of Newton's."""
    total = raw + _ONE
    half = torch.div(total + torch.where(total >= 0, 1, -1), 2, rounding_mode="trunc")
    x = 1515870810 + doubled_high(half, -1010580540)
    for _ in range(3):
        rest = (1 << 29) - doubled_high(half, x)
        x = x + (doubled_high(x, rest) << 2).clamp(-_ONE - 1, _ONE)
    return (x << 1).clamp(-_ONE - 1, _ONE)
