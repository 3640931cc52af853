"""SOFTMAX over the last axis."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.litert.fixed_point import Multiplier, doubled_high, shifted_down
from qdiag.simulate.arithmetic.litert.int16_functions import OUTPUT_SCALE, softmax
from qdiag.simulate.arithmetic.litert.rule import LOWEST, Rule, number, requantized

_SCALE = 1.0 / 256.0
_ONE = (1 << 31) - 1
_INTEGER_BITS, _SUM_BITS = 5, 12
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


def _in_float(below: Tensor, source: Affine) -> Tensor:
    """Integers of 1/256."""
    table = torch.exp((-number(source.scale) * torch.arange(256).float()).double()).float().to(below.device)
    values = table[below]
    total = torch.zeros(values.shape[:-1], device=below.device)
    for one in values.unbind(-1):
        total = total + one
    inverse = 1.0 / (total * _SCALE)
    return torch.floor((values * inverse.unsqueeze(-1)).double() + 0.5).to(torch.int64)


def _in_integers(below: Tensor, source: Affine) -> Tensor:
    """The same in fixed point, after gemmlowp's exp of negative values and its reciprocal."""
    real = min(float(source.scale.double()) * float(1 << (31 - _INTEGER_BITS)), float(_ONE))
    by = Multiplier.of(torch.tensor(real, dtype=torch.float64))
    mantissa, shift = int(by.mantissa), int(by.shift)
    furthest = math.floor(float((1 << _INTEGER_BITS) - 1) * (1 << (31 - _INTEGER_BITS)) / 2.0**shift)
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
