"""Softmax by a table of exponentials: QLinearSoftmax."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule, number

_LEVELS = 256
_LARGEST = float(torch.finfo(torch.float32).max)


@dataclass(frozen=True, eq=False)
class Softmax(Rule):
    """Exponentials of a table, summed up one after the other in float32.

    `t[i] = f32(exp((i - 255 + shift) s_x))`, `shift = max(0, f32(ln(FLT_MAX / D)) - 5) / s_x`,
    `e = t[q - max(q) + 255]`, `q_y = clamp(round(e floor(1 / s_y) / sum(e)) + z_y)`, the last in float64.
    """

    name: ClassVar[str] = "softmax"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source = self.quantizer(op, 0)
        if source is None or operation_name(op.node) not in ("softmax", "_softmax"):
            return None
        x = args[0].movedim(args[1], -1)
        if not x.ndim or not bool(torch.isfinite(x).all()):  # masked scores are no integers
            return None
        found = integers(x, source)
        places = (found - found.amax(-1, keepdim=True)).add_(_LEVELS - 1.0).to(torch.int32)
        exponentials = _table(source, x.shape[-1]).to(x.device)[places]
        factor = math.floor(1.0 / float(number(self.output.scale)))
        steps = exponentials.double().mul_(factor).div_(_added(exponentials).double()).round_().float()
        return steps.mul_(float(self.output.scale)).movedim(-1, args[1])


def _table(source: Affine, count: int) -> Tensor:
    """Exponentials of all distances from the largest value, shifted up so far that the sum of `count` stays finite."""
    scale = float(source.scale)
    logarithm = float(torch.tensor(math.log(_LARGEST / count), dtype=torch.float32))
    shift = max(0.0, logarithm - 5.0) / scale
    distances = torch.arange(_LEVELS, dtype=torch.float64) - (_LEVELS - 1.0)
    return torch.exp((distances + shift) * scale).float()


def _added(values: Tensor) -> Tensor:
    """Sums over the last axis, (..., 1), in float32, one value after the other."""
    total = torch.zeros_like(values[..., 0])
    for column in values.movedim(-1, 0).contiguous():
        total.add_(column)
    return total.unsqueeze(-1)
