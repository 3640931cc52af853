"""Sums and products of two tensors, element by element."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.pytorch.lanes import elementwise
from qdiag.simulate.arithmetic.pytorch.rule import Rule, number, reciprocal


@dataclass(frozen=True, eq=False)
class Sum(Rule):
    """`quantized::add`: float32 values, their sum, quantized."""

    name: ClassVar[str] = "sum"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        found = self.pair(op, args, kwargs)
        return self.values(elementwise(torch.add, args, found, self.output)) if found is not None else None

    def pair(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Affine, Affine] | None:
        """Quantizers of both; None for a number, and where the second one is multiplied first."""
        left, right = self.quantizer(op, 0), self.quantizer(op, 1)
        if left is None or right is None or len(args) != 2 or kwargs.get("alpha", 1) != 1:
            return None
        return left, right


@dataclass(frozen=True, eq=False)
class Product(Rule):
    """`quantized::mul`: `m = f32(f32(s_a s_b) f32(1 / s_y))`, `q_y = round(f32((q_a - z_a)(q_b - z_b) m)) + z_y`."""

    name: ClassVar[str] = "product"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        left, right = self.quantizer(op, 0), self.quantizer(op, 1)
        if left is None or right is None or len(args) != 2 or kwargs or operation_name(op.node) != "mul":
            return None
        multiplier = float(number(left.scale) * number(right.scale) * number(reciprocal(self.output)))
        product = integers(args[0], left) * integers(args[1], right)
        return self.values(product.mul_(multiplier).round_())
