"""Sums, differences and products of two tensors, element by element: ADD, SUB and MUL."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.litert.fixed_point import Multiplier, twice_rounded
from qdiag.simulate.arithmetic.litert.rule import Rule, number, scaled, scaled_in_float

_SHIFT = 20


@dataclass(frozen=True, eq=False)
class Sum(Rule):
    """ADD and SUB: both values at one finer scale, their sum, and that at the scale of the output.

    `t = 2 max(s_a, s_b)`, `a' = M(s_a / t) (q_a - z_a) 2^20`, `q_y = M(t / (2^20 s_y)) (a' + b') + z_y`, each twice
    rounded. XNNPACK: `k` the exponent of the larger of `r_a = f32(s_a / s_y)` and `r_b`, `n = 20 - k`, and
    `q_y = ((q_a - z_a) round(r_a 2^n) + (q_b - z_b) round(r_b 2^n) + 2^(n-1)) >> n`, plus `z_y`.
    """

    name: ClassVar[str] = "sum"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        left, right = self.quantizer(op, 0), self.quantizer(op, 1)
        if left is None or right is None or kwargs.get("alpha", 1) != 1 or len(args) != 2:
            return None
        x, y = integers(args[0], left).to(torch.int64), integers(args[1], right).to(torch.int64)
        if operation_name(op.node) == "sub":
            y = -y
        if self.kernels == "xnnpack":
            return self._shifted(x, y, left, right)
        scales = left.scale.cpu().double(), right.scale.cpu().double()
        twice = 2.0 * max(scales)
        a, b = (
            twice_rounded(values << _SHIFT, Multiplier.of(scale / twice).to(values.device))
            for values, scale in zip((x, y), scales, strict=True)
        )
        by = Multiplier.of(twice / ((1 << _SHIFT) * self.output.scale.cpu().double()))
        return scaled(a + b, by, twice_rounded, self.output)

    def _shifted(self, x: Tensor, y: Tensor, left: Affine, right: Affine) -> Tensor:
        ratios = [number(one.scale) / number(self.output.scale) for one in (left, right)]
        exponent = int(torch.frexp(torch.maximum(*ratios)).exponent) - 1
        shift = _SHIFT - exponent
        a, b = (int(torch.round(torch.ldexp(ratio.double(), torch.tensor(shift)))) for ratio in ratios)
        steps = (x * a + y * b + (1 << (shift - 1))) >> shift
        return steps.float().mul_(float(self.output.scale))


@dataclass(frozen=True, eq=False)
class Product(Rule):
    """MUL: `q_y = M(s_a s_b / s_y) (q_a - z_a)(q_b - z_b) + z_y`, twice rounded; XNNPACK: by one float32 number."""

    name: ClassVar[str] = "product"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        left, right = self.quantizer(op, 0), self.quantizer(op, 1)
        if left is None or right is None or len(args) != 2 or kwargs:
            return None
        total = integers(args[0], left) * integers(args[1], right)
        if self.kernels == "xnnpack":
            multiplier = number(left.scale) * number(right.scale) / number(self.output.scale)
            return scaled_in_float(total, multiplier.to(total.device), self.output)
        scales = left.scale.cpu().double() * right.scale.cpu().double()
        return scaled(total, Multiplier.of(scales / self.output.scale.cpu().double()), twice_rounded, self.output)
