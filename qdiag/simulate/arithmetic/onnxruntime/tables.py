"""Functions of one value: what onnxruntime gives for each integer, of which there are at most 256."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule

Function = Callable[[Tensor], Tensor]
"""float32 to float32."""


def _hard_sigmoid(x: Tensor) -> Tensor:
    """`clamp(x f32(1/6) + 0.5, 0, 1)`, where torch computes `clamp(x + 3, 0, 6) / 6`."""
    return (x * torch.tensor(1.0 / 6.0) + 0.5).clamp(0.0, 1.0)


def _hard_swish(x: Tensor) -> Tensor:
    return x * _hard_sigmoid(x)


def _silu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x.double()).float()


PLAIN: Mapping[str, Function] = {"hardsigmoid": _hard_sigmoid, "hardswish": _hard_swish, "silu": _silu}
"""Functions whose steps round to float32 one after the other."""
ROUNDED_ONCE = (
    *("sigmoid", "tanh", "gelu", "elu", "selu", "celu", "softplus", "mish", "log_sigmoid"),
    *("exp", "sqrt", "rsqrt", "log", "erf", "sin", "cos"),
)
"""Functions whose float32 results are as near to the exact ones as float32 comes, but for their last bits."""


@dataclass(frozen=True, eq=False)
class Table(Rule):
    """`q_y = Q(f(DQ(q_x)))`, for each of the integers once."""

    name: ClassVar[str] = "table"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source, name = self.quantizer(op, 0), operation_name(op.node)
        x: Tensor = args[0]
        if source is None or not bool(torch.isfinite(x).all()):
            return None
        levels = _levels(source)
        values = levels * source.scale.cpu().float()
        results = PLAIN[name](values) if name in PLAIN else _rounded(op, values, args[1:], kwargs)
        places = integers(x, source).sub_(float(levels[0])).to(torch.int32)
        return results.to(x.device).index_select(0, places.flatten()).view(places.shape)


def _levels(source: Affine) -> Tensor:
    """All `q - zero_point`, ascending."""
    return torch.arange(source.quant_min, source.quant_max + 1, dtype=torch.float32) - source.zero_point.cpu()


def _rounded(op: LayerOp, values: Tensor, others: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    found: Tensor = op.node.target(values.double(), *others, **kwargs)  # type: ignore[operator]
    return found.float()
