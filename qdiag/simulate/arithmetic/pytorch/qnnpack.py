"""What the engine qnnpack computes otherwise than fbgemm: sums of products and of tensors, some means and functions."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from qdiag.capture.ops import operation_name
from qdiag.core.graph import Layer
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers, pieces
from qdiag.simulate.arithmetic.pytorch.elementwise import Sum
from qdiag.simulate.arithmetic.pytorch.functions import Function
from qdiag.simulate.arithmetic.pytorch.pooling import Mean, Windows
from qdiag.simulate.arithmetic.pytorch.products import WeightedSums
from qdiag.simulate.arithmetic.pytorch.rule import number, reciprocal, zero_point

_SHIFT = 21


@dataclass(frozen=True, eq=False)
class QnnpackSums(WeightedSums):
    """The bias is an int32: `acc = wrap32(sum (q_x - z_x)(q_w - z_w) + q_b)`, `q_y = round(f32(f32(acc) m)) + z_y`.

    `m = f32(f32(s_x s_w) f32(1 / s_y))`.
    """

    name: ClassVar[str] = "qnnpack_sums"

    def multiplier(self, layer: Layer) -> Tensor:
        return self.input_scale(layer) * number(reciprocal(self.output))


@dataclass(frozen=True, eq=False)
class QnnpackSum(Sum):
    """Integer multipliers: `r_a = f32(s_a / s_y)`, `n = 21 -` the exponent of the larger of `r_a` and `r_b`.

    `p = (q_a - z_a) round(r_a 2^n) + (q_b - z_b) round(r_b 2^n)`, `q_y = p 2^-n + z_y`, halves away from 0.
    """

    name: ClassVar[str] = "qnnpack_sum"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        found = self.pair(op, args, kwargs)
        if found is None or args[0].shape != args[1].shape:
            return super().on_integers(op, args, kwargs)
        ratios = [number(one.scale) / number(self.output.scale) for one in found]
        shift = _SHIFT - (int(torch.frexp(torch.maximum(*ratios)).exponent) - 1)
        first, second = (float(torch.round(torch.ldexp(ratio.double(), torch.tensor(shift)))) for ratio in ratios)
        x, y = (integers(one, own) for one, own in zip(args, found, strict=True))
        steps = torch.empty_like(x)
        for one, other, target in zip(pieces(x), pieces(y), pieces(steps), strict=True):
            # products of 22 and 9 bits are exact in float64, and so is a half of their sum
            total = one.double().mul_(first).add_(other.double().mul_(second)).mul_(2.0**-shift)
            target.copy_(total.abs().add_(0.5).floor_().mul_(total.sign()))
        return self.values(steps)


@dataclass(frozen=True, eq=False)
class QnnpackHardswish(Function):
    """A table: `f32(x relu6(f32(x + 3))) / 6`, times `f32(1 / s_y)`, plus z_y, each in float32, and rounded then."""

    name: ClassVar[str] = "qnnpack_hardswish"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if operation_name(op.node) != "hardswish" or self.quantizer(op, 0) is None:
            return super().on_integers(op, args, kwargs)
        x: Tensor = args[0]
        own = zero_point(self.output)
        found = (x + 3.0).clamp_(0.0, 6.0).mul_(x).div_(6.0).mul_(reciprocal(self.output)).add_(own)
        return self.values(found.clamp_(0.0, 255.0).round_().sub_(own))


@dataclass(frozen=True, eq=False)
class QnnpackMean(Mean):
    """Windows, also those of one size that are asked for by their number, and whole images:
    `round(f32(sum(q_x - z_x) f32(1 / N))) + z_y`. Padding counts, whatever is asked for."""

    name: ClassVar[str] = "qnnpack_mean"

    def windows(self, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        call = Windows.of(args, kwargs)
        if call.is_ceiled or x.ndim != 4:
            return super().windows(x, args, kwargs)
        return call.sums(x).mul_(1.0 / float(call.kernel[0] * call.kernel[1])).round_()

    def adaptive(self, x: Tensor, sizes: list[int]) -> Tensor:
        if x.ndim != 4 or x.shape[2] % sizes[0] or x.shape[3] % sizes[1]:
            return super().adaptive(x, sizes)
        window = [x.shape[2] // sizes[0], x.shape[3] // sizes[1]]
        total = functional.avg_pool2d(x.double(), window, divisor_override=1).float()
        return total.mul_(1.0 / float(window[0] * window[1])).round_()

    def in_float(self, x: Tensor, axes: tuple[int, ...], keeps: bool) -> Tensor:
        if x.ndim != 4 or axes != (2, 3):
            return super().in_float(x, axes, keeps)
        total = x.sum(axes, keepdim=keeps, dtype=torch.float64).float()
        return total.mul_(1.0 / float(x.shape[2] * x.shape[3])).round_()
