"""Means: MEAN over axes, and AVERAGE_POOL_2D."""

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from qdiag.capture.ops import operation_name
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.litert.fixed_point import Multiplier, twice_rounded
from qdiag.simulate.arithmetic.litert.rule import Rule, in_lanes, number, requantized, scaled

_GLOBAL = ("adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d")
_WINDOWS = ("avg_pool1d", "avg_pool2d")
MEANS = ("mean", *_WINDOWS, *_GLOBAL)
"""Operations that are means."""
_SIGNAL = 3
"""Axes of a signal with its samples and channels."""
_LANES = 16
"""Channels that the runtime's own kernel works on at once."""


@dataclass(frozen=True, eq=False)
class Mean(Rule):
    """Means over axes, and over windows.

    Reference: `M(s_x / s_y)` shared by N, of `sum(q_x - z_x)`, twice rounded. The runtime's own kernel the same, but
    for a mean over an image that keeps its axes: `M(f32(s_x / f32(N s_y))) sum q_x + z_y - round(f32(f32(z_x s_x) /
    s_y))`. XNNPACK: see `delegated_sum`, `r = f32(f32(s_x / s_y) f32(1 / N))`. Windows, everywhere: the sum of
    integers over their count, halves away from 0, quantized anew for an output at another scale.
    """

    name: ClassVar[str] = "mean"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source, name = self.quantizer(op, 0), operation_name(op.node)
        if source is None or not isinstance(args[0], Tensor) or kwargs.get("dtype") is not None:
            return None
        x = integers(args[0], source)
        if name in _WINDOWS:
            return self._windows(x, source, args, kwargs)
        if name in _GLOBAL:
            is_whole = {int(size) for size in args[1]} == {1}
            return self._over(x, source, tuple(range(2, x.ndim)), keeps=True) if is_whole else None
        axes, keeps = reduced_axes(x, args, kwargs)
        return self._over(x, source, axes, keeps=keeps)

    def _over(self, x: Tensor, source: Affine, axes: tuple[int, ...], *, keeps: bool) -> Tensor:
        count = math.prod(x.shape[axis] for axis in axes)
        total = x.sum(axes, keepdim=keeps, dtype=torch.float64)
        if self.kernels == "xnnpack" and not self.is_wide:
            return self._in_float(total, source, count)
        if self.kernels == "tflite" and not self.is_wide and keeps and x.ndim == 4 and axes == (2, 3):
            return self._with_bias(total, source, count)
        by = Multiplier.of(source.scale.cpu().double() / self.output.scale.cpu().double()).shared_by(count)
        return scaled(total, by, twice_rounded, self.output)

    def _in_float(self, total: Tensor, source: Affine, count: int) -> Tensor:
        zero, own = float(self.zero(source)), float(self.zero(self.output))
        stored, share = total + zero * count, number(1.0) / number(float(count))
        steps = delegated_sum(stored, zero * count, number(source.scale) / number(self.output.scale) * share, own)
        return steps.mul_(float(self.output.scale))

    def _with_bias(self, total: Tensor, source: Affine, count: int) -> Tensor:
        zero = self.zero(source)
        moved = number(float(zero)) * number(source.scale) / number(self.output.scale)
        away = int(moved + 0.5 if moved > 0 else moved - 0.5)
        by = Multiplier.of((number(source.scale) / (number(float(count)) * number(self.output.scale))).double())
        stored = total + float(zero * count)
        # both are whole numbers of steps, whose difference comes back exactly when it is rounded
        return in_lanes(stored, by, _LANES, self.output).sub_(float(away) * float(self.output.scale))

    def _windows(self, x: Tensor, source: Affine, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)."""
        given = (*args[1:], *(None,) * (6 - len(args[1:])))
        kernel, stride, padding, ceil, counts, divisor = given[:6]
        is_signal = x.ndim == _SIGNAL
        is_known = is_signal or x.ndim == _SIGNAL + 1
        if not is_known or divisor is not None or kwargs or (ceil and counts in (None, True)):
            return None
        if is_signal:  # an image of one row
            x, kernel = x.unsqueeze(2), (1, kernel[-1])
            stride, padding = stride and (1, stride[-1]), padding and (0, padding[-1])
        window: dict[str, Any] = {"kernel_size": kernel, "stride": stride or None, "padding": padding or 0}
        window["ceil_mode"] = bool(ceil)
        total = functional.avg_pool2d(x.double(), **window, divisor_override=1)
        ones = torch.ones(1, 1, *x.shape[2:], dtype=torch.float64, device=x.device)
        size = math.prod(kernel if len(kernel) == 2 else kernel * 2)
        inside = functional.avg_pool2d(ones, **window, divisor_override=1)
        count = (torch.full_like(inside, size) if counts in (None, True) else inside).to(torch.int64)
        zero = self.zero(source)
        stored = torch.round(total).to(torch.int64) + zero * count
        half = torch.where(stored > 0, count // 2, -(count // 2))
        steps = torch.div(stored + half, count, rounding_mode="trunc") - zero
        made = steps if source.key == self.output.key else requantized(steps, source, self.output, self.kernels)
        values = made.float().mul_(float(self.output.scale))
        return values.squeeze(2) if is_signal else values


@dataclass(frozen=True, eq=False)
class SumOfMean(Rule):
    """A sum in files that are written here: MEAN at `s_y / N`, and MUL by N, which changes no integer."""

    name: ClassVar[str] = "sum"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        axes, _ = reduced_axes(args[0], args, kwargs)
        count = math.prod(args[0].shape[axis] for axis in axes)
        share = replace(self.output, scale=self.output.scale / count)
        found = Mean(self.kernels, self.operands, share, self.lowest).on_integers(op, args, kwargs)
        return None if found is None else torch.round(found / float(share.scale)) * float(self.output.scale)


def reduced_axes(x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[int, ...], bool]:
    """Axes of (x, axes, whether they stay), ascending, all where none are named; and whether they stay."""
    given = args[1] if len(args) > 1 else kwargs.get("dim")
    axes = tuple(sorted(int(axis) % x.ndim for axis in given)) if given else tuple(range(x.ndim))
    return axes, bool(args[2]) if len(args) > 2 else bool(kwargs.get("keepdim", False))


def delegated_sum(stored: Tensor, offset: float, ratio: Tensor, zero: float) -> Tensor:
    """`round(f32(f32(sum q_x) r) + f32(z_y - f32(N z_x r)))` less `z_y`, as XNNPACK gives sums and means; float32.

    Args:
        stored: sums of stored integers. offset: `N z_x`. ratio: r, float32. zero: `z_y`.
    """
    bias = number(zero) - number(offset) * ratio
    return stored.float().mul_(ratio.to(stored.device)).add_(bias.to(stored.device)).round_().sub_(zero)
