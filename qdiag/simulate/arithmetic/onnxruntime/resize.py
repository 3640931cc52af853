"""Linear Resize of images, which onnxruntime computes in float32, or on integers, with weights of its own."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, fx

from qdiag.capture.ops import kind_and_policy, operation_name
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.cut_off import CutOff
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule

_UNIT = 1024.0
"""Steps of a distance in the kernel on integers with channels last."""


@dataclass(frozen=True, eq=False)
class LinearResize(Rule):
    """`d_x2 d_y2 X_11 + d_x1 d_y2 X_21 + d_x2 d_y1 X_12 + d_x1 d_y1 X_22`, each step in float32, from the left.

    On integers X are these, as they are stored, and what is behind the point is cut off; with channels last distances
    are integers of 10 bits, cut off as well.
    """

    name: ClassVar[str] = "linear_resize"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if operation_name(op.node) != "upsample_bilinear2d":
            return None
        x: Tensor = args[0]
        corners = bool(args[2])
        given = args[3] if len(args) == 4 else args[3:]  # a list of them, or one argument for each axis
        factors = list(given) if given is not None and len(given) == 2 else [None, None]
        height, width = _size(x, args[1], factors)
        if corners and _has_last_value_twice(op.node):
            rows, columns = _Places.from_edges(x.shape[2], height, x), _Places.from_edges(x.shape[3], width, x)
        else:
            rows = _Places.of(x.shape[2], height, corners, factors[0], x)
            columns = _Places.of(x.shape[3], width, corners, factors[1], x)
        if not isinstance(self.output, CutOff):
            return _weighted(x, rows, columns)
        source = self.quantizer(op, 0)
        if source is None:
            return None
        stored = integers(x, source).add_(float(source.zero_point))
        if _is_behind_a_convolution(op.node):
            total = _weighted(stored.double(), rows.in_steps, columns.in_steps).div_(_UNIT * _UNIT)
        else:
            total = _weighted(stored, rows, columns)
        return _values(total.trunc_().float(), self.output)


def _weighted(x: Tensor, rows: "_Places", columns: "_Places") -> Tensor:
    upper, lower = x.index_select(2, rows.first), x.index_select(2, rows.second)
    one, other = rows.to_first.unsqueeze(1), rows.to_second.unsqueeze(1)
    total: Tensor = (columns.to_second * other) * upper.index_select(3, columns.first)
    total += (columns.to_first * other) * upper.index_select(3, columns.second)
    total += (columns.to_second * one) * lower.index_select(3, columns.first)
    return total.add_((columns.to_first * one) * lower.index_select(3, columns.second))


def _values(stored: Tensor, output: Affine) -> Tensor:
    return stored.sub_(float(output.zero_point)).mul_(float(output.scale))


def _has_last_value_twice(node: fx.Node) -> bool:
    """So the reader of ONNX files writes coordinates that begin at the edges (asymmetric)."""
    source = node.args[0]
    is_pad = isinstance(source, fx.Node) and source.op == "call_function" and operation_name(source) == "pad"
    return is_pad and list(source.args[1:3]) == [[0, 1, 0, 1], "replicate"]  # type: ignore[union-attr]


def _is_behind_a_convolution(node: fx.Node) -> bool:
    """onnxruntime lays the results of integer convolutions out with their channels last, and what follows them."""
    source: Any = node.args[0]
    while isinstance(source, fx.Node) and source.op == "call_function":
        kind, policy = kind_and_policy(source)
        if kind == "conv" or policy not in ("pass", "own", "shared"):
            return kind == "conv"
        source = source.args[0] if source.args else None
    return False


@dataclass(frozen=True)
class _Places:
    """The two values on one axis between which each output lies, and how far it is from them."""

    at: Tensor
    first: Tensor
    second: Tensor
    to_first: Tensor
    to_second: Tensor

    @classmethod
    def of(cls, size: int, resized: int, corners: bool, factor: float | None, like: Tensor) -> "_Places":
        at = torch.arange(resized, dtype=torch.float32)
        scale = torch.tensor(float(resized)) / torch.tensor(float(size)) if factor is None else torch.tensor(factor)
        if corners:
            at = at * float(size - 1) / float(resized - 1) if resized > 1 else torch.zeros_like(at)
        elif float(scale) != 1.0:
            at = (at + 0.5) / scale.float() - 0.5
        return cls._between(at, size, like)

    @classmethod
    def from_edges(cls, size: int, resized: int, like: Tensor) -> "_Places":
        """The first value of both lies at 0; the last one of the input is none of its own, and that of the output is
        not read."""
        scale = torch.tensor(float(resized - 1)) / torch.tensor(float(size - 1))
        return cls._between(torch.arange(resized, dtype=torch.float32) / scale, size - 1, like)

    @classmethod
    def _between(cls, at: Tensor, size: int, like: Tensor) -> "_Places":
        at = at.clamp(0.0, float(size - 1)).to(like.device)
        first = at.floor()
        second = (first + 1.0).clamp(max=float(size - 1))
        same = first == second
        to_first, to_second = (at - first).abs(), (at - second).abs()
        to_first[same] = to_second[same] = 0.5
        return cls(at, first.long(), second.long(), to_first, to_second)

    @property
    def in_steps(self) -> "_Places":
        """Distances as integers, float64."""
        at = torch.trunc(self.at * _UNIT).double()
        distances = [(at - one * _UNIT).abs() for one in (self.first, self.second)]
        for one in distances:
            one[self.first == self.second] = _UNIT / 2.0
        return _Places(self.at, self.first, self.second, *distances)


def _size(x: Tensor, size: Any, factors: Any) -> tuple[int, int]:
    if size is not None:
        return int(size[0]), int(size[1])
    return int(x.shape[2] * factors[0]), int(x.shape[3] * factors[1])
