"""Maps added up: the sum is one convolution where all kernels fit under one, each at its own place."""

from collections.abc import Iterable, Sequence
from math import gcd

from torch import Tensor

from qdiag.numerics.convolutions.conv_map import ConvMap, NotOneConvolutionError, PaddingMode, common_dilation, spread


def added(maps: Sequence[ConvMap]) -> ConvMap:
    """The map that gives the sum of what all maps give for the same x.

    Kernels are embedded with zeros where others are wider: by where their taps lie relative to the output, which is
    the middle for odd sizes with half their size as padding.

    Raises:
        NotOneConvolutionError: strides or the ways to continue x differ, or the outputs of one size only by chance.
    """
    first = maps[0]
    if len(maps) == 1:
        return first
    strides = dict.fromkeys(one.stride for one in maps)
    if len(strides) > 1:
        raise NotOneConvolutionError(f"its branches have strides of {_listed(strides)}")
    slacks = dict.fromkeys(one.slack for one in maps)
    if len(slacks) > 1:
        raise NotOneConvolutionError("the padding of its branches does not fit: they end at different places of x")
    groups = gcd(*(one.groups for one in maps))
    dilation = common_dilation(maps)
    before = tuple(max(sizes) for sizes in zip(*(one.before for one in maps), strict=True))
    ends = [max(sizes) for sizes in zip(*(one.ends for one in maps), strict=True)]
    taps = [(end + b) // d + 1 for end, b, d in zip(ends, before, dilation, strict=True)]
    kernel = first.kernel.new_zeros(len(first.constant), first.kernel.shape[1] * first.groups // groups, *taps)
    for one in maps:
        _embed(kernel, one.in_groups(groups), before, dilation)
    constant = sum((one.constant for one in maps[1:]), first.constant)
    after = tuple(end + slack for end, slack in zip(ends, first.slack, strict=True))
    return ConvMap(kernel, constant, first.stride, before, after, dilation, groups, _mode(maps))


def _embed(kernel: Tensor, one: ConvMap, before: Sequence[int], dilation: Sequence[int]) -> None:
    steps = [own // common if k > 1 else 1 for own, common, k in zip(one.dilation, dilation, one.taps, strict=True)]
    part = spread(one.kernel, steps)
    places = [(b - own) // d for b, own, d in zip(before, one.before, dilation, strict=True)]
    window = tuple(slice(at, at + size) for at, size in zip(places, part.shape[2:], strict=True))
    kernel[(slice(None), slice(None), *window)] += part


def _mode(maps: Sequence[ConvMap]) -> PaddingMode:
    modes = dict.fromkeys(one.mode for one in maps if one.reaches_out)
    if len(modes) > 1:
        raise NotOneConvolutionError(f"its branches continue their input in different ways: {_listed(modes)}")
    return next(iter(modes), "zeros")


def _listed(values: Iterable[object]) -> str:
    return " and ".join(map(str, values))
