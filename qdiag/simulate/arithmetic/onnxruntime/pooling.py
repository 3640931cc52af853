"""Means: QLinearGlobalAveragePool, QLinearAveragePool, and ReduceMean, which computes in float."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.integers import EXACT32, integers, magnitude
from qdiag.simulate.arithmetic.onnxruntime.float_sums import sum_of_columns, sum_of_rows
from qdiag.simulate.arithmetic.onnxruntime.rule import Rule, number, requantized, rounded_to

_POOL_OF = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
ADAPTIVE = {f"{front}adaptive_avg_pool{axes}d": axes for front in ("", "_") for axes in _POOL_OF}
WINDOWS = ("avg_pool1d", "avg_pool2d", "avg_pool3d")


@dataclass(frozen=True, eq=False)
class Mean(Rule):
    """Means over all positions of a channel, over windows, and over any other axes.

    All positions: `q_y = clamp(round(f32(sum(q_x - z_x) m)) + z_y)`, `m = f32(s_x / f32(s_y f32(N)))`. Windows: the
    mean of float32 values, `q_y = clamp(round(f32(mean / s_y) + z_y))`. Other axes: float32 sums.
    """

    name: ClassVar[str] = "mean"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source, name = self.quantizer(op, 0), operation_name(op.node)
        if source is None or not isinstance(args[0], Tensor):
            return None
        x: Tensor = args[0]
        mean = FAKE_QUANTIZED.run(op, args, kwargs) if name in WINDOWS else _adaptive_mean(name, x, args)
        if mean is not None:
            return rounded_to(mean.div_(float(self.output.scale)), self.output)
        axes, keeps = _axes(name, x, args, kwargs)
        if not axes:
            return None
        count = math.prod(x.shape[axis] for axis in axes)
        if axes != tuple(range(2, x.ndim)):
            return _float_mean(x, axes, count, keeps=keeps)
        found = integers(x, source)
        dtype = torch.float32 if count * magnitude(source) < EXACT32 else torch.float64
        total = found.sum(axes, keepdim=keeps, dtype=dtype)
        multiplier = number(source.scale) / (number(self.output.scale) * number(float(count)))
        return requantized(total, multiplier.to(total.device), self.output)


def _adaptive_mean(name: str, x: Tensor, args: tuple[Any, ...]) -> Tensor | None:
    """The mean over windows of one size; None where that is the whole image, and where sizes differ."""
    axes = ADAPTIVE.get(name)
    if axes is None or all(size == 1 for size in args[1]):
        return None
    image = x.shape[-axes:]
    if any(have % wanted for have, wanted in zip(image, args[1], strict=True)):
        return None
    window = [have // wanted for have, wanted in zip(image, args[1], strict=True)]
    found: Tensor = _POOL_OF[axes](x, window, window)
    return found


def _float_mean(x: Tensor, axes: tuple[int, ...], count: int, *, keeps: bool) -> Tensor | None:
    """A mean over neighbouring axes as ReduceMean adds it up; None where axes between them stay."""
    first, last = axes[0], axes[-1]
    if axes != tuple(range(first, last + 1)) or not first:
        return None
    kept = [1 if axis in axes and keeps else size for axis, size in enumerate(x.shape) if keeps or axis not in axes]
    before, behind = math.prod(x.shape[:first]), math.prod(x.shape[last + 1 :])
    rows = x.contiguous().view(before, count, behind)
    total = sum_of_rows(rows) if last < x.ndim - 1 else sum_of_columns(rows.squeeze(2))
    return total.div_(float(count)).view(kept)


def _axes(name: str, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[int, ...], bool]:
    """The axes over which a mean goes, from the front, and whether they stay; none for what is no such mean."""
    if name in ADAPTIVE and all(size == 1 for size in args[1]):
        return tuple(range(2, x.ndim)), True
    if name != "mean" or len(args) < 2 or not args[1] or kwargs.get("dtype") is not None:
        return (), False
    keeps = bool(args[2]) if len(args) > 2 else bool(kwargs.get("keepdim", False))
    return tuple(sorted(axis % x.ndim for axis in args[1])), keeps
