"""Means: over windows, over windows of one size or several, over whole images, and over other axes."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from qdiag.capture.ops import operation_name
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.pytorch.lanes import steps_one_by_one
from qdiag.simulate.arithmetic.pytorch.rule import Rule, zero_point

ADAPTIVE = ("adaptive_avg_pool2d", "_adaptive_avg_pool2d")
MEANS = ("mean", "avg_pool2d", *ADAPTIVE)
_LANES = 16
"""Channels of an image that are rounded at once."""


@dataclass(frozen=True, eq=False)
class Mean(Rule):
    """The sum of integers times one over their count, which keeps the scale of its input.

    Windows: `m = f32(1 / N)`, 16 channels at once `round(f32(sum(q_x - z_x) m)) + z_y`, what is left over
    `round(f32(f32(sum(q_x - z_x) m) + z_y))`. Means over the last axes in memory the second one, and over others in
    float32, quantized.
    """

    name: ClassVar[str] = "mean"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source, name = self.quantizer(op, 0), operation_name(op.node)
        if source is None or not isinstance(args[0], Tensor) or not self._keeps_its_scale(source):
            return None
        x = integers(args[0], source)
        if name == "avg_pool2d":
            return self.values(self.windows(x, args, kwargs))
        if name in ADAPTIVE:
            return self.values(self.adaptive(x, [int(size) for size in args[1]]))
        axes = _axes(x, args, kwargs)
        if axes is None:
            return None
        keeps = bool(args[2]) if len(args) > 2 else bool(kwargs.get("keepdim", False))
        return self.values(self.over(x, axes, keeps=keeps) if _is_inner(x, axes) else self.in_float(x, axes, keeps))

    def windows(self, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """`q - zero_point` of means over windows of an image."""
        call = Windows.of(args, kwargs)
        total, count = call.sums(x), call.counts(x)
        steps = total.mul_(1.0 / count)
        whole = x.shape[-3] // _LANES * _LANES if x.ndim == 4 else 0
        steps[:, :whole].round_()
        self._zero_point_first(steps[:, whole:] if x.ndim == 4 else steps)
        return steps

    def adaptive(self, x: Tensor, sizes: list[int]) -> Tensor:
        """`q - zero_point` of means over as many windows as are asked for, of several sizes."""
        if all(size == 1 for size in sizes):
            return self.over(x, (x.ndim - 2, x.ndim - 1), keeps=True)
        return self._zero_point_first(functional.adaptive_avg_pool2d(x.double(), (sizes[0], sizes[1])).float())

    def over(self, x: Tensor, axes: tuple[int, ...], *, keeps: bool) -> Tensor:
        """`q - zero_point` of means over axes."""
        return self._zero_point_first(x.mean(axes, keepdim=keeps, dtype=torch.float64).float())

    def in_float(self, x: Tensor, axes: tuple[int, ...], keeps: bool) -> Tensor:
        """The same from float32 values, added up as they lie in memory."""
        form = torch.channels_last if x.ndim == 4 else torch.contiguous_format
        values = x.mul(float(self.output.scale)).contiguous(memory_format=form)
        return steps_one_by_one(values.mean(axes, keepdim=keeps), self.output)

    def _zero_point_first(self, steps: Tensor) -> Tensor:
        own = zero_point(self.output)
        return steps.add_(own).round_().sub_(own)

    def _keeps_its_scale(self, source: Affine) -> bool:
        """torch gives a mean the scale of what it is taken of."""
        has_same_zero = zero_point(source) == zero_point(self.output)
        return has_same_zero and float(source.scale) == float(self.output.scale)


@dataclass(frozen=True)
class Windows:
    """The arguments of an `avg_pool2d`."""

    kernel: list[int]
    stride: list[int]
    padding: list[int]
    is_ceiled: bool
    counts_padding: bool
    divisor: int | None

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "Windows":
        names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
        given = dict(zip(names, args[1:], strict=False))
        given |= kwargs
        kernel = _two(given["kernel_size"])
        stride = _two(given.get("stride") or kernel)
        padding = _two(given.get("padding", 0))
        is_ceiled, counts = bool(given.get("ceil_mode", False)), bool(given.get("count_include_pad", True))
        return cls(kernel, stride, padding, is_ceiled, counts, given.get("divisor_override"))

    def sums(self, x: Tensor) -> Tensor:
        """Of each window, exactly, float32."""
        return functional.avg_pool2d(
            x.double(), self.kernel, self.stride, self.padding, self.is_ceiled, divisor_override=1
        ).float()

    def counts(self, x: Tensor) -> Tensor | float:
        """Of values that each window is divided by."""
        if self.divisor is not None:
            return float(self.divisor)
        if self.counts_padding and not self.is_ceiled:
            return float(math.prod(self.kernel))
        ones = torch.ones_like(x[:1, :1] if x.ndim == 4 else x[:1])
        if not self.counts_padding:
            return self.sums(ones)
        return 1.0 / functional.avg_pool2d(ones, self.kernel, self.stride, self.padding, True) * self.sums(ones)


def _two(value: Any) -> list[int]:
    sizes = [int(value)] if isinstance(value, int) else [int(size) for size in value]
    return sizes * 2 if len(sizes) == 1 else sizes


def _is_inner(x: Tensor, axes: tuple[int, ...]) -> bool:
    """The values of one mean lie beside each other; images have their channels there."""
    return x.ndim != 4 and axes == tuple(range(x.ndim - len(axes), x.ndim))


def _axes(x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, ...] | None:
    if kwargs.get("dtype") is not None or len(args) < 2 or not args[1]:
        return None
    return tuple(sorted(int(axis) % x.ndim for axis in args[1]))
