"""Walking over large tensors without copying them and without leaving the cache."""

from collections.abc import Iterator

import torch
from torch import Tensor

CHUNK_ELEMENTS = 1 << 19
"""2 MiB of float32: several lanes of it fit a third-level cache. Measured on two cores (1 MiB of second-level cache
each, 32 MiB of third): a quarter of it costs twice the time in calls, all at once costs twice the time in memory."""


def flat_alike(*tensors: Tensor) -> tuple[Tensor, ...]:
    """One-dimensional views that walk all tensors in one common order of elements.

    All contiguous, or all channels-last: no copy. Otherwise the odd ones are copied, so only the first tensors whose
    layout is one of the two may be written through.
    """
    if all(t.is_contiguous() for t in tensors):
        return tuple(t.view(-1) for t in tensors)
    if all(_is_channels_last(t) for t in tensors):
        return tuple(t.permute(0, 2, 3, 1).reshape(-1) for t in tensors)
    return tuple(t.contiguous().view(-1) for t in tensors)


def alike(reference: Tensor, other: Tensor) -> Tensor:
    """`other` in the memory layout of `reference`, copied only when it differs."""
    if reference.is_contiguous():
        return other.contiguous()
    if _is_channels_last(reference):
        return other.contiguous(memory_format=torch.channels_last)
    return other


def dense(x: Tensor) -> Tensor:
    """x itself when its elements lie densely in one of the two layouts, otherwise a contiguous copy."""
    return x if x.is_contiguous() or _is_channels_last(x) else x.contiguous()


def flat_chunks(*tensors: Tensor, elements: int = CHUNK_ELEMENTS) -> Iterator[tuple[Tensor, ...]]:
    """Pieces of all tensors in the same order, small enough for the cache on a CPU, whole elsewhere."""
    flats = flat_alike(*tensors)
    total = flats[0].numel()
    if total <= elements or flats[0].device.type != "cpu":
        yield flats
        return
    for start in range(0, total, elements):
        yield tuple(flat[start : start + elements] for flat in flats)


def some_rows(x: Tensor, values: int) -> Tensor:
    """Every second, third, ... row of each image of (N, C, H, W), so that about so many values of it are left.

    x itself where an image has no more than that, or is none; otherwise a copy in the same layout.
    """
    step = min(x[0].numel() // values, x.shape[2]) if x.ndim == 4 and len(x) else 0
    if step < 2:
        return x
    layout = torch.channels_last if _is_channels_last(x) else torch.contiguous_format
    return x[:, :, step // 2 :: step].contiguous(memory_format=layout)


def as_units(x: Tensor, channel_axis: int | None, group_size: int | None) -> Tensor:
    """x as it broadcasts with `per_unit`: per group (C, G, group_size), padded with zeros, otherwise as it is."""
    if channel_axis is None or group_size is None:
        return x
    return grouped(x, channel_axis, group_size)


def per_unit(numbers: Tensor, ndim: int, channel_axis: int | None, group_size: int | None) -> Tensor:
    """Numbers of a tensor (), of its channels (C,) or of their groups (C, G), to broadcast with `as_units`."""
    if channel_axis is None:
        return numbers
    if group_size is not None:
        return numbers.unsqueeze(-1)
    shape = [1] * ndim
    shape[channel_axis] = -1
    return numbers.view(shape)


def from_units(units: Tensor, like: Tensor, channel_axis: int | None, group_size: int | None) -> Tensor:
    """Back from `as_units` to the shape of `like`."""
    if channel_axis is None or group_size is None:
        return units
    moved = like.movedim(channel_axis, 0)
    flat = units.reshape(units.shape[0], -1)[:, : moved[0].numel()]
    return flat.reshape(moved.shape).movedim(0, channel_axis)


def grouped(x: Tensor, channel_axis: int, group_size: int) -> Tensor:
    """A weight as (C, G, group_size): each channel flattened, cut into groups, the last one padded with zeros."""
    rows = x.movedim(channel_axis, 0).reshape(x.shape[channel_axis], -1)
    missing = -rows.shape[1] % group_size
    if missing:
        rows = torch.nn.functional.pad(rows, (0, missing))
    return rows.reshape(rows.shape[0], -1, group_size)


def channel_means(x: Tensor, channel_axis: int | None) -> Tensor:
    """Means in float64 over everything but the channels, (C,); over everything, (), without an axis."""
    if channel_axis is None:
        return x.double().mean()
    return x.double().movedim(channel_axis, 0).flatten(1).mean(1) if x.ndim > 1 else x.double()


def _is_channels_last(x: Tensor) -> bool:
    return x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
