"""Maps one after the other: the chain is one convolution where what lies beyond the ends in between is no obstacle."""

from collections.abc import Iterator
from itertools import product
from math import gcd

import torch
from torch import Tensor

from qdiag.numerics.convolutions.conv_map import ConvMap, NotOneConvolutionError, PaddingMode, Sizes

_SAME = 1e-5
"""Difference of two constants over the largest of them up to which they are the same: networks compute in float32."""
ELEMENTS_AT_MOST = 1 << 27
"""Values of a kernel up to which one is made: 1 GiB."""


def chained(first: ConvMap, second: ConvMap, fill: Tensor | None = None) -> ConvMap:
    """The map that gives what `second` gives for the outputs z of `first`.

    Where `second` reads beyond the ends of z, it reads zeros (or the values of `fill`), and the one convolution would
    read what `first` gives for x continued with zeros. The two are the same only where `first` gives a constant there
    and that constant is what is read: the reason why a diverse branch block pads with the BatchNorm of zero between
    its 1x1 and its k x k convolution (arXiv 2103.13425, section 3.2, transform III).

    Args:
        fill: values per channel that `second` reads beyond the ends, (C,); zeros without.

    Raises:
        NotOneConvolutionError: one convolution computes something else at the borders.
    """
    mode = _mode(first, second, fill)
    groups = gcd(first.groups, second.groups)
    inner, outer = first.in_groups(groups), second.in_groups(groups)
    steps = [d * s for d, s in zip(outer.dilation, inner.stride, strict=True)]
    dilation = _dilation(inner, outer, steps)
    kernel = _kernel(inner, outer, [s // d for s, d in zip(steps, dilation, strict=True)], dilation)
    stride = tuple(a * b for a, b in zip(inner.stride, outer.stride, strict=True))
    before = tuple(b2 * s + b1 for b2, s, b1 in zip(outer.before, inner.stride, inner.before, strict=True))
    slack = [e1 + e2 * s for e1, e2, s in zip(inner.slack, outer.slack, inner.stride, strict=True)]
    ends = [end2 * s + end1 for end2, s, end1 in zip(outer.ends, inner.stride, inner.ends, strict=True)]
    after = tuple(end + e for end, e in zip(ends, slack, strict=True))
    by_group = outer.kernel.flatten(2).sum(2).view(groups, -1, outer.kernel.shape[1])
    through = (by_group @ inner.constant.view(groups, -1, 1)).flatten()
    return ConvMap(kernel, outer.constant + through, stride, before, after, dilation, groups, mode)


def _mode(first: ConvMap, second: ConvMap, fill: Tensor | None) -> PaddingMode:
    """How x is continued for the chain."""
    if not second.reaches_out:
        return first.mode
    if second.mode != "zeros":
        if first.is_pointwise:
            return second.mode
        raise NotOneConvolutionError(f"a branch continues its values by {second.mode} in the middle")
    if first.reaches_out and first.mode != "zeros":
        raise NotOneConvolutionError(f"a branch continues its input by {first.mode}, its values by zeros in the middle")
    if not _is_constant_outside(first, second):
        raise NotOneConvolutionError("a branch pads with zeros behind a kernel that reaches beyond the border itself")
    read = torch.zeros_like(first.constant) if fill is None else fill.double()
    largest = max(float(read.abs().max()), float(first.constant.abs().max()))
    if float((read - first.constant).abs().max()) > _SAME * largest:
        raise NotOneConvolutionError(
            "a branch pads with zeros in the middle, where one convolution would see the constant that comes before"
        )
    return "zeros"


def _is_constant_outside(first: ConvMap, second: ConvMap) -> bool:
    """`first` reads nothing but zeros wherever `second` reads it beyond the ends of its outputs."""
    for axis in range(first.rank):
        if second.before[axis] > 0 and first.ends[axis] >= first.stride[axis]:
            return False
        if second.after[axis] > 0 and first.slack[axis] < first.before[axis]:
            return False
    return True


def _dilation(inner: ConvMap, outer: ConvMap, steps: list[int]) -> Sizes:
    """The widest on which all taps of the chain lie."""
    found = []
    for axis, step in enumerate(steps):
        wide = step if outer.taps[axis] > 1 else 0
        found.append(gcd(wide, inner.dilation[axis] if inner.taps[axis] > 1 else 0) or 1)
    return tuple(found)


def _kernel(inner: ConvMap, outer: ConvMap, outer_steps: list[int], dilation: Sizes) -> Tensor:
    """(C_out, C_in / groups, ...): every tap of the second kernel places a copy of the first one."""
    inner_steps = [max(d // common, 1) for d, common in zip(inner.dilation, dilation, strict=True)]
    spans = zip(outer.taps, outer_steps, inner.taps, inner_steps, strict=True)
    taps = [(k2 - 1) * a + (k1 - 1) * b + 1 for k2, a, k1, b in spans]
    groups, c_out = outer.groups, outer.kernel.shape[0]
    count = c_out * inner.kernel.shape[1] * torch.Size(taps).numel()
    if count > ELEMENTS_AT_MOST:
        raise NotOneConvolutionError(f"the one kernel of a branch would have {count:,} values")
    first = inner.kernel.view(groups, -1, *inner.kernel.shape[1:])
    second = outer.kernel.view(groups, -1, *outer.kernel.shape[1:])
    whole = first.new_zeros(groups, c_out // groups, inner.kernel.shape[1], *taps)
    for at in _positions(outer.taps):
        part = torch.einsum("gom,gmi...->goi...", second[(slice(None),) * 3 + at], first)
        window = tuple(
            slice(u * a, u * a + (k - 1) * b + 1, b)
            for u, a, k, b in zip(at, outer_steps, inner.taps, inner_steps, strict=True)
        )
        whole[(slice(None),) * 3 + window] += part
    return whole.reshape(c_out, inner.kernel.shape[1], *taps)


def _positions(sizes: Sizes) -> Iterator[tuple[int, ...]]:
    return product(*(range(size) for size in sizes))
