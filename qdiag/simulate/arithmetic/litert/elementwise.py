"""Sums, differences and products of two tensors, element by element: ADD, SUB and MUL."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.litert.fixed_point import Multiplier, Scaled, cut_off, once_rounded, twice_rounded
from qdiag.simulate.arithmetic.litert.rule import Rule, number, scaled, scaled_in_float

_SHIFT, _WIDE_SHIFT = 20, 15


@dataclass(frozen=True, eq=False)
class Sum(Rule):
    """ADD and SUB: both values at one finer scale, their sum, and that at the scale of the output.

    `t = 2 max(s_a, s_b)`, `a' = M(s_a / t) (q_a - z_a) 2^20`, `q_y = M(t / (2^20 s_y)) (a' + b') + z_y`, each twice
    rounded; the runtime's own kernels round the first two otherwise, see `_inputs`. XNNPACK: `k` the exponent of the
    larger of `r_a = f32(s_a / s_y)` and `r_b`, `n = 20 - k`, and
    `q_y = ((q_a - z_a) round(r_a 2^n) + (q_b - z_b) round(r_b 2^n) + 2^(n-1)) >> n`, plus `z_y`.
    """

    name: ClassVar[str] = "sum"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        left, right = self.operand(op, args, 0), self.operand(op, args, 1)
        if left is None or right is None or kwargs.get("alpha", 1) != 1 or len(args) != 2:
            return None
        name = operation_name(op.node)
        x, y = left[0].to(torch.int64), right[0].to(torch.int64)
        if name in ("sub", "rsub"):
            x, y = (x, -y) if name == "sub" else (-x, y)
        scales = (left[1], right[1])
        if self.kernels == "xnnpack" and not self.is_wide:
            return self._shifted(x, y, scales)
        shift = _WIDE_SHIFT if self.is_wide else _SHIFT
        real = [scale.double() for scale in scales]
        twice = 2.0 * max(real)
        how = self._inputs(x, y, is_sum=name == "add")
        a, b = (
            how(values << shift, Multiplier.of(scale / twice).to(values.device))
            for values, scale in zip((x, y), real, strict=True)
        )
        by = Multiplier.of(twice / ((1 << shift) * self.output.scale.cpu().double()))
        return scaled(a + b, by, twice_rounded, self.output)

    def _inputs(self, x: Tensor, y: Tensor, *, is_sum: bool) -> Scaled:
        """The runtime's own kernels take several numbers at once where the shapes are the same."""
        if self.kernels == "tflite-ref" or x.shape != y.shape:
            return twice_rounded
        if self.is_wide:
            return once_rounded
        return cut_off if is_sum else twice_rounded

    def _shifted(self, x: Tensor, y: Tensor, scales: tuple[Tensor, Tensor]) -> Tensor:
        ratios = [number(scale) / number(self.output.scale) for scale in scales]
        exponent = int(torch.frexp(torch.maximum(*ratios)).exponent) - 1
        shift = _SHIFT - exponent
        a, b = (int(torch.round(torch.ldexp(ratio.double(), torch.tensor(shift)))) for ratio in ratios)
        steps = (x * a + y * b + (1 << (shift - 1))) >> shift
        return steps.float().mul_(float(self.output.scale))


@dataclass(frozen=True, eq=False)
class Product(Rule):
    """MUL: `q_y = M(s_a s_b / s_y) (q_a - z_a)(q_b - z_b) + z_y`, twice rounded; XNNPACK: by one float32 number.

    Dividing by a number is multiplying with its reciprocal.
    """

    name: ClassVar[str] = "product"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if operation_name(op.node) == "div":
            if len(args) != 2 or isinstance(args[1], Tensor) or not args[1]:
                return None
            args = (args[0], 1.0 / float(args[1]))
        left, right = self.operand(op, args, 0), self.operand(op, args, 1)
        if left is None or right is None or len(args) != 2 or kwargs:
            return None
        total = (left[0].double() if self.is_wide else left[0]) * right[0].to(left[0].device)
        if self.kernels == "xnnpack" and not self.is_wide:
            multiplier = number(left[1]) * number(right[1]) / number(self.output.scale)
            return scaled_in_float(total, multiplier.to(total.device), self.output)
        real = number(left[1]) * number(right[1]) / number(self.output.scale)
        return scaled(total, Multiplier.of(real.double()), twice_rounded, self.output)
