"""What a convolution computes, as a value: kernel, constant, and where its taps lie. Pure functions, float64."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import gcd
from typing import Literal

import torch
from torch import Tensor

from qdiag.errors import QdiagError
from qdiag.numerics.batchnorm import ChannelAffine

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
Sizes = tuple[int, ...]


class NotOneConvolutionError(QdiagError):
    """Several maps that no single convolution computes; a row in the result, not the end of a run."""


@dataclass(frozen=True)
class ConvMap:
    """An affine map of images x (N, C_in, n_1, ..., n_d) that a convolution with bias computes, exactly.

    y[:, o, p] = constant[o] + sum over taps t of kernel[o, :, t] x[:, group of o, p * stride - before + t * dilation],
    with p and t along every axis, and x continued beyond its ends as `mode` says.

    Attributes:
        kernel: (C_out, C_in / groups, k_1, ..., k_d), float64.
        constant: (C_out,), float64.
        before, after: values by which x is continued at the ends of each axis; negative where it is cropped.
        mode: how it is continued, as in `nn.Conv2d`.
    """

    kernel: Tensor
    constant: Tensor
    stride: Sizes
    before: Sizes
    after: Sizes
    dilation: Sizes
    groups: int
    mode: PaddingMode = "zeros"

    @property
    def rank(self) -> int:
        return self.kernel.ndim - 2

    @property
    def taps(self) -> Sizes:
        """Taps along each axis."""
        return tuple(self.kernel.shape[2:])

    @property
    def ends(self) -> Sizes:
        """Where the last tap lies along each axis, with the first output at 0."""
        return tuple((k - 1) * d - b for k, d, b in zip(self.taps, self.dilation, self.before, strict=True))

    @property
    def slack(self) -> Sizes:
        """e along each axis, with which an input of size n gives floor((n + e - 1) / stride) + 1 outputs."""
        return tuple(after - end for after, end in zip(self.after, self.ends, strict=True))

    @property
    def reaches_out(self) -> bool:
        """It may read beyond the ends of x."""
        return any(size > 0 for size in (*self.before, *self.after))

    @property
    def is_pointwise(self) -> bool:
        """Every output depends on the pixel at its own place alone, and none is left out."""
        one, none = (1,) * self.rank, (0,) * self.rank
        return (self.taps, self.stride, self.before, self.after) == (one, one, none, none)

    def normed(self, norm: ChannelAffine) -> "ConvMap":
        """The map with a BatchNorm behind it."""
        gain = norm.gain.view(-1, *[1] * (self.kernel.ndim - 1))
        return replace(self, kernel=self.kernel * gain, constant=self.constant * norm.gain + norm.shift)

    def times(self, factor: float) -> "ConvMap":
        """The map with its outputs times a number."""
        return replace(self, kernel=self.kernel * factor, constant=self.constant * factor)

    def in_groups(self, groups: int) -> "ConvMap":
        """The same map with fewer groups, a divisor of its own: between them stand zeros."""
        if groups == self.groups:
            return self
        c_out, per_group = self.kernel.shape[:2]
        joined = self.groups // groups
        blocks = self.kernel.reshape(groups, joined, c_out // self.groups, per_group, *self.taps)
        wide = blocks.new_zeros(groups, joined, c_out // self.groups, joined, per_group, *self.taps)
        for i in range(joined):
            wide[:, i, :, i] = blocks[:, i]
        kernel = wide.reshape(c_out, joined * per_group, *self.taps)
        return replace(self, kernel=kernel, groups=groups)

    def __call__(self, x: Tensor) -> Tensor:
        """y for x, in the dtype of x."""
        x = continued(x, self.before, self.after, self.mode)
        kernel, constant = self.kernel.to(x.dtype), self.constant.to(x.dtype)
        run: Callable[..., Tensor] = (torch.conv1d, torch.conv2d, torch.conv3d)[self.rank - 1]
        return run(x, kernel, constant, self.stride, 0, self.dilation, self.groups)


def identity_map(channels: int, rank: int) -> ConvMap:
    """y = x."""
    ones, zeros = (1,) * rank, (0,) * rank
    kernel = torch.ones(channels, 1, *ones, dtype=torch.float64)
    return ConvMap(kernel, torch.zeros(channels, dtype=torch.float64), ones, zeros, zeros, ones, channels)


def average_map(channels: int, size: Sizes, stride: Sizes, padding: Sizes, divisor: int | None = None) -> ConvMap:
    """Average pooling that counts the zeros of its padding; `divisor` in place of the number of taps."""
    kernel = torch.full((channels, 1, *size), 1.0, dtype=torch.float64)
    kernel = kernel / (divisor if divisor is not None else kernel[0].numel())
    constant = torch.zeros(channels, dtype=torch.float64)
    return ConvMap(kernel, constant, stride, padding, padding, (1,) * len(size), channels)


def padding_map(channels: int, before: Sizes, after: Sizes, mode: PaddingMode = "zeros") -> ConvMap:
    """x continued, or cropped where a number is negative."""
    return replace(identity_map(channels, len(before)), before=before, after=after, mode=mode)


def continued(x: Tensor, before: Sequence[int], after: Sequence[int], mode: PaddingMode) -> Tensor:
    """x continued beyond its ends, or cropped where a number is negative."""
    pairs = list(zip(before, after, strict=True))
    if not any(size for pair in pairs for size in pair):
        return x
    flat = [size for pair in reversed(pairs) for size in pair]  # the last axis first
    if mode == "zeros" or all(size <= 0 for size in flat):
        return torch.nn.functional.pad(x, flat)
    return torch.nn.functional.pad(x, flat, mode=mode)


def common_dilation(maps: Sequence[ConvMap]) -> Sizes:
    """The widest dilation along each axis on which the taps of all maps lie."""
    found = []
    for axis in range(maps[0].rank):
        step = 0
        for one in maps:
            step = gcd(step, one.dilation[axis] if one.taps[axis] > 1 else 0)
            step = gcd(step, one.before[axis] - maps[0].before[axis])
        found.append(step or 1)
    return tuple(found)


def spread(kernel: Tensor, steps: Sequence[int]) -> Tensor:
    """The kernel with `step - 1` zeros between neighbouring taps of each axis."""
    for axis, step in enumerate(steps, start=2):
        if step > 1 and kernel.shape[axis] > 1:
            shape = list(kernel.shape)
            shape[axis] = (kernel.shape[axis] - 1) * step + 1
            wide = kernel.new_zeros(shape)
            wide.narrow(axis, 0, shape[axis])[(slice(None),) * axis + (slice(None, None, step),)] = kernel
            kernel = wide
    return kernel
