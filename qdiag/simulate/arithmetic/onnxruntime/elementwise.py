"""Sums and products of two tensors, element by element: QLinearAdd and QLinearMul."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.numerics.layout import alike, dense, flat_chunks
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule, number, rounded_to

_CACHED = 1 << 17
"""Elements that are worked on at once, in float64."""


@dataclass(frozen=True, eq=False)
class _Operand:
    """A tensor, or a number as a tensor, with its quantizer."""

    values: Tensor
    quantizer: Affine

    @classmethod
    def of_number(cls, number: float, beside: Affine) -> "_Operand":
        """A number is plus or minus one step of its own size, an integer of the type of the tensor beside it."""
        is_unsigned = beside.quant_min >= 0
        low, high = (0, 255) if is_unsigned else (-128, 127)
        zero_point = 1.0 if is_unsigned and number < 0.0 else 0.0
        own = Affine(torch.tensor(abs(number) or 1.0), torch.tensor(zero_point), low, high)
        return cls(torch.tensor(number), own)

    @property
    def stored(self) -> Tensor:
        """The integers as they are stored, float32."""
        return _stored(self.values, self.quantizer)


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
    `r_a = f32(s_a / s_y)`, and all integers as they are stored. A number that is subtracted is added, negative.
    """

    name: ClassVar[str] = "sum"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        own = self.quantizer(op, 0)
        if own is None or len(args) != 2:
            return None
        sign, alpha = -1.0 if operation_name(op.node) == "sub" else 1.0, kwargs.get("alpha", 1)
        left, right = _Operand(args[0], own), self._other(op, args[1], own, sign * alpha)
        if right is None:
            return None
        if _is_scalar_run(left.values, right.values):  # the kernel takes the operand that varies first
            left, right = right, left
        x, y = left.values, right.values
        terms = _Terms.of(left.quantizer, right.quantizer, self.output)
        if x.shape != y.shape:
            return self._added(left, right, terms)
        x = dense(x)
        y, target = alike(x, y), torch.empty_like(x)
        for one, other, sums in flat_chunks(x, y, target, elements=_CACHED):
            parts = _Operand(one, left.quantizer), _Operand(other, right.quantizer)
            sums.copy_(self._added(*parts, terms))
        return target

    def _other(self, op: LayerOp, value: Any, beside: Affine, factor: float) -> "_Operand | None":
        """The second operand; a number takes the factor with it, and a tensor has to do without one."""
        if isinstance(value, int | float):
            return _Operand.of_number(factor * float(value), beside)
        own = self.quantizer(op, 1)
        return _Operand(value, own) if own is not None and factor == 1.0 else None

    def _added(self, left: _Operand, right: _Operand, terms: _Terms) -> Tensor:
        # a product of float32 and an integer of 8 bits is exact in float64, so that each sum is rounded once
        inner = right.stored.double().mul_(terms.b).add_(terms.c).float()
        steps = left.stored.double().mul_(terms.a).add(inner.double()).float().round_()
        return steps.sub_(float(self.output.zero_point)).mul_(float(self.output.scale))


@dataclass(frozen=True, eq=False)
class Product(Rule):
    """QLinearMul: `q_y = clamp(round(f32(f32((q_a - z_a)(q_b - z_b) m) + z_y)))`, `m = f32(f32(s_a s_b) / s_y)`."""

    name: ClassVar[str] = "product"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        own = self.quantizer(op, 0)
        right = self._other(op, args, own) if own is not None and not kwargs else None
        if own is None or right is None:
            return None
        multiplier = float(number(own.scale) * number(right.quantizer.scale) / number(self.output.scale))
        product = integers(args[0], own) * integers(right.values, right.quantizer)
        return rounded_to(product.mul_(multiplier), self.output)

    def _other(self, op: LayerOp, args: tuple[Any, ...], own: Affine) -> _Operand | None:
        """What the first operand is multiplied with: a quotient by a number is a product with its reciprocal."""
        name = operation_name(op.node)
        if name == "square" or (name == "pow" and args[1] == 2):
            return _Operand(args[0], own)
        value = args[1]
        if isinstance(value, int | float):
            if name == "mul":
                return _Operand.of_number(float(value), own)
            return _Operand.of_number(1.0 / value, own) if name == "div" and value else None
        other = self.quantizer(op, 1)
        return _Operand(value, other) if other is not None and name == "mul" else None


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
