"""Linear Resize of images, which onnxruntime computes in float32 with weights and an order of its own."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule


@dataclass(frozen=True, eq=False)
class LinearResize(Rule):
    """`d_x2 d_y2 X_11 + d_x1 d_y2 X_21 + d_x2 d_y1 X_12 + d_x1 d_y1 X_22`, each step in float32, from the left."""

    name: ClassVar[str] = "linear_resize"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if operation_name(op.node) != "upsample_bilinear2d" or self.quantizer(op, 0) is None:
            return None
        x: Tensor = args[0]
        corners = bool(args[2])
        factors = args[3] if len(args) == 4 else args[3:]  # a list of them, or one argument for each axis
        height, width = _size(x, args[1], factors)
        rows, columns = _Places.of(x.shape[2], height, corners, x), _Places.of(x.shape[3], width, corners, x)
        upper, lower = x.index_select(2, rows.first), x.index_select(2, rows.second)
        one, other = rows.to_first.unsqueeze(1), rows.to_second.unsqueeze(1)
        total: Tensor = (columns.to_second * other) * upper.index_select(3, columns.first)
        total += (columns.to_first * other) * upper.index_select(3, columns.second)
        total += (columns.to_second * one) * lower.index_select(3, columns.first)
        return total.add_((columns.to_first * one) * lower.index_select(3, columns.second))


@dataclass(frozen=True)
class _Places:
    """The two values on one axis between which each output lies, and how far it is from them."""

    first: Tensor
    second: Tensor
    to_first: Tensor
    to_second: Tensor

    @classmethod
    def of(cls, size: int, resized: int, corners: bool, like: Tensor) -> "_Places":
        at = torch.arange(resized, dtype=torch.float32)
        if corners:
            at = at * float(size - 1) / float(resized - 1) if resized > 1 else torch.zeros_like(at)
        elif size != resized:
            scale = torch.tensor(float(resized)) / torch.tensor(float(size))
            at = (at + 0.5) / scale - 0.5
        at = at.clamp(0.0, float(size - 1))
        first = at.floor()
        second = (first + 1.0).clamp(max=float(size - 1))
        to_first, to_second = (at - first).abs(), (at - second).abs()
        same = first == second
        to_first[same] = to_second[same] = 0.5
        found = (first.long(), second.long(), to_first, to_second)
        return cls(*(one.to(like.device) for one in found))


def _size(x: Tensor, size: Any, factors: Any) -> tuple[int, int]:
    if size is not None:
        return int(size[0]), int(size[1])
    return int(x.shape[2] * factors[0]), int(x.shape[3] * factors[1])
