"""Sums and products of two tensors, element by element: QLinearAdd and QLinearMul."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.numerics.layout import alike, dense, flat_chunks
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule, number, rounded_to

_CACHED = 1 << 17
"""Elements that are worked on at once, in float64."""


@dataclass(frozen=True)
class _Terms:
    """The constants of one QLinearAdd, float32: `a q_a + (b q_b + c)`."""

    a: float
    b: float
    c: float

    @classmethod
    def of(cls, a: Affine, b: Affine, output: Affine) -> "_Terms":
        ratio_a, ratio_b = (number(one.scale) / number(output.scale) for one in (a, b))
        inner = (ratio_a.double() * a.zero_point.double() + (ratio_b * number(b.zero_point)).double()).float()
        return cls(float(ratio_a), float(ratio_b), float(number(output.zero_point) - inner))


@dataclass(frozen=True, eq=False)
class Sum(Rule):
    """QLinearAdd, with fused multiply-adds, of which each rounds to float32 once.

    `c = f32(z_y - fma(r_a, z_a, f32(r_b z_b)))`, `q_y = clamp(round(fma(q_a, r_a, fma(q_b, r_b, c))))` with
    `r_a = f32(s_a / s_y)`, and all integers as they are stored.
    """

    name: ClassVar[str] = "sum"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        left, right = self.quantizer(op, 0), self.quantizer(op, 1)
        if left is None or right is None or kwargs.get("alpha", 1) != 1 or len(args) != 2:
            return None
        x, y = args
        if _is_scalar_run(x, y):  # the kernel takes the operand that varies first
            x, y, left, right = y, x, right, left
        terms = _Terms.of(left, right, self.output)
        if x.shape != y.shape:
            return self._added(x, y, left, right, terms)
        x = dense(x)
        y, target = alike(x, y), torch.empty_like(x)
        for one, other, sums in flat_chunks(x, y, target, elements=_CACHED):
            sums.copy_(self._added(one, other, left, right, terms))
        return target

    def _added(self, x: Tensor, y: Tensor, left: Affine, right: Affine, terms: _Terms) -> Tensor:
        # a product of float32 and an integer of 8 bits is exact in float64, so that each sum is rounded once
        inner = _stored(y, right).double().mul_(terms.b).add_(terms.c).float()
        steps = _stored(x, left).double().mul_(terms.a).add(inner.double()).float().round_()
        return steps.sub_(float(self.output.zero_point)).mul_(float(self.output.scale))


@dataclass(frozen=True, eq=False)
class Product(Rule):
    """QLinearMul: `q_y = clamp(round(f32(f32((q_a - z_a)(q_b - z_b) m) + z_y)))`, `m = f32(f32(s_a s_b) / s_y)`."""

    name: ClassVar[str] = "product"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        left, right = self.quantizer(op, 0), self.quantizer(op, 1)
        if left is None or right is None or len(args) != 2 or kwargs:
            return None
        multiplier = float(number(left.scale) * number(right.scale) / number(self.output.scale))
        return rounded_to((integers(args[0], left) * integers(args[1], right)).mul_(multiplier), self.output)


def _stored(x: Tensor, quantizer: Affine) -> Tensor:
    """The integers as they are stored."""
    return (x / float(quantizer.scale)).round_().add_(float(quantizer.zero_point))


def _is_scalar_run(x: Tensor, y: Tensor) -> bool:
    """Along the last axes on which shapes differ, x has one value for several of y."""
    ndim = max(x.ndim, y.ndim)
    ours, theirs = ([1] * (ndim - t.ndim) + list(t.shape) for t in (x, y))
    for own, other in zip(reversed(ours), reversed(theirs), strict=True):
        if own == other == 1:
            continue
        return own == 1
    return False
