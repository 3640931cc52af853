"""Functions of one value: what onnxruntime gives for each integer, of which there are at most 256."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.onnxruntime.elementwise import Product
from qdiag.simulate.arithmetic.onnxruntime.functions import FUNCTIONS, tanh_gelu
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule

ROUNDED_ONCE = (
    *("elu", "selu", "celu", "softplus", "mish", "log_sigmoid"),
    *("exp", "sqrt", "rsqrt", "log", "sin", "cos"),
)
"""Functions taken in float64 and rounded to float32, which onnxruntime comes to but for the last bits."""


@dataclass(frozen=True, eq=False)
class Table(Rule):
    """`q_y = Q(f(DQ(q_x)))`, for each of the integers once."""

    name: ClassVar[str] = "table"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source = self.quantizer(op, 0)
        x: Tensor = args[0]
        if source is None or not bool(torch.isfinite(x).all()):
            return None
        levels = _levels(source)
        results = _results(op, levels * source.scale.cpu().float(), args[1:], kwargs)
        places = integers(x, source).sub_(float(levels[0])).to(torch.int32)
        return results.to(x.device).index_select(0, places.flatten()).view(places.shape)


@dataclass(frozen=True, eq=False)
class Power(Table):
    """A square is a product of integers; other powers are a table, where the exponent is a number."""

    name: ClassVar[str] = "power"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if len(args) < 2 or not isinstance(args[1], int | float):
            return None
        if args[1] == 2:
            return Product(self.operands, self.output).on_integers(op, args, kwargs)
        return super().on_integers(op, args, kwargs)


@dataclass(frozen=True, eq=False)
class Function(Rule):
    """`Q(f(x))` of float32 values, for integers of 9 to 16 bits: `f` is that of the tables, bit for bit."""

    name: ClassVar[str] = "function"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        return _results(op, args[0], args[1:], kwargs)


def _levels(source: Affine) -> Tensor:
    """All `q - zero_point`, ascending."""
    return torch.arange(source.quant_min, source.quant_max + 1, dtype=torch.float32) - source.zero_point.cpu()


def _results(op: LayerOp, values: Tensor, others: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    name = operation_name(op.node)
    if name == "gelu" and "tanh" in (*others, kwargs.get("approximate")):
        return tanh_gelu(values)
    if name in FUNCTIONS:
        return FUNCTIONS[name](values)
    if name == "pow" and others[0] == 3:
        return values * values * values
    found: Tensor = op.node.target(values.double(), *others, **kwargs)  # type: ignore[operator]
    return found.float()
