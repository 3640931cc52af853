"""Gathers where the values of each channel lie, over batches."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from qdiag.core.measures.ranges import PERCENTILES, ChannelRanges
from qdiag.numerics.channel_sums import column_extremes, table_chunks
from qdiag.numerics.histogram import HistogramAccumulator
from qdiag.numerics.moments import MomentAccumulator
from qdiag.numerics.waiting import checks_at_the_end, side_by_side, waits

_HALF = 256
"""Bins on each side of zero per channel: percentiles are good to 1/128 of the tensor's largest |value| or better."""


_GLANCES = 509
"""Positions per batch and channel behind the moments of a glance; a prime, so that strides meet all columns."""


class ChannelObserver:
    """Streaming figures per channel, in memory that grows with the channels alone.

    Args:
        channel_axis: axis of the channels; tensors without that axis are passed over.
        is_glance: minimum and maximum over every element, the other figures over some positions, no percentiles: a
            tenth of a float pass instead of twenty.
        with_shape: the figures beside minimum and maximum; at a glance they may be left out, and are NaN then.
    """

    def __init__(self, channel_axis: int, *, is_glance: bool = False, with_shape: bool = True) -> None:
        self._axis, self._is_glance, self._with_shape = channel_axis, is_glance, with_shape
        self._extremes: Tensor | None = None
        self._moments = MomentAccumulator()
        self._histogram = HistogramAccumulator()

    def update(self, x: Tensor) -> Tensor | None:
        """Adds one batch; NaN and Inf are taken as absent.

        Returns:
            Smallest and largest value of each channel of this batch, (2, C), where all are finite and at hand.
        """
        if self._axis >= x.ndim:
            return None
        if self._is_glance:
            return self._glance_without_waiting(x) if waits(x) else self._glance(x)
        rows = x.movedim(self._axis, 0).reshape(x.shape[self._axis], -1)
        finite = torch.isfinite(rows)
        low = torch.where(finite, rows, math.inf).amin(1)
        high = torch.where(finite, rows, -math.inf).amax(1)
        if self._extremes is None:
            self._extremes = torch.stack([low, high])
            self._moments = MomentAccumulator(rows.shape[0])
            self._histogram = HistogramAccumulator(rows.shape[0], _HALF)
        else:
            self._extremes = torch.stack(
                [torch.minimum(self._extremes[0], low), torch.maximum(self._extremes[1], high)]
            )
        self._moments.add(rows, finite)
        self._histogram.add(rows, torch.where(finite, rows, 0.0).abs().amax(), finite)
        return None

    def _glance(self, x: Tensor) -> Tensor | None:
        table = x.movedim(self._axis, -1).reshape(-1, x.shape[self._axis])
        extremes = _extremes(table)
        is_finite = bool(torch.isfinite(extremes).all())
        if not is_finite:
            finite = torch.isfinite(table)
            low = torch.where(finite, table, math.inf).amin(0)
            extremes = torch.stack([low, torch.where(finite, table, -math.inf).amax(0)])
        self._take(extremes, table[:: max(1, table.shape[0] // _GLANCES)].T, is_finite=is_finite)
        return extremes if is_finite else None

    def _glance_without_waiting(self, x: Tensor) -> Tensor | None:
        """The same figures on a GPU, where a table would be a copy, and nobody looks whether all is finite."""
        others, checks = [i for i in range(x.ndim) if i != self._axis % x.ndim], checks_at_the_end(x)
        if checks is not None:
            extremes = torch.stack([x.amin(others), x.amax(others)])
            checks.add(extremes)
        else:
            finite = torch.isfinite(x)
            low = torch.where(finite, x, math.inf).amin(others)
            extremes = torch.stack([low, torch.where(finite, x, -math.inf).amax(others)])
        moved = x.movedim(self._axis, -1)
        self._take(extremes, moved[_places(tuple(moved.shape[:-1]), x.device)].T, is_finite=checks is not None)
        return extremes if checks is not None else None

    def _take(self, extremes: Tensor, rows: Tensor, *, is_finite: bool) -> None:
        """Extremes of a batch, (2, C), and its values at the positions of a glance, (C, n)."""
        if self._extremes is None:
            self._extremes, self._moments = extremes, MomentAccumulator(extremes.shape[1])
        else:
            low = torch.minimum(self._extremes[0], extremes[0])
            self._extremes = torch.stack([low, torch.maximum(self._extremes[1], extremes[1])])
        if self._with_shape:
            self._moments.add(rows, None if is_finite else torch.isfinite(rows))

    def merge(self, later: "ChannelObserver") -> None:
        """Adds what another one saw, which looked at the same channels as closely."""
        if later._extremes is None:
            return
        if self._extremes is None:
            self._extremes, self._moments, self._histogram = later._extremes, later._moments, later._histogram
            return
        a, b = side_by_side(self._extremes, later._extremes)
        self._extremes = torch.stack([torch.minimum(a[0], b[0]), torch.maximum(a[1], b[1])])
        self._moments.merge(later._moments)
        self._histogram.merge(later._histogram)

    def ranges(self) -> ChannelRanges | None:
        """The figures so far; None before any batch came."""
        if self._extremes is None:
            return None
        low, high = self._extremes.cpu().double()
        return ChannelRanges(
            channel_axis=self._axis,
            min=tuple(low.tolist()),
            max=tuple(high.tolist()),
            mean=tuple(self._moments.mean().tolist()),
            std=tuple(self._moments.std().tolist()),
            kurtosis=tuple(self._moments.kurtosis().tolist()),
            zero_fraction=tuple(self._moments.zero_fraction().tolist()),
            percentiles=()
            if self._is_glance
            else tuple(map(tuple, self._histogram.percentiles(PERCENTILES).clamp(low, high).tolist())),
        )


@lru_cache(maxsize=256)
def _places(shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, ...]:
    """Indices into axes of these lengths: the positions of a glance, which are equally far apart in the flat order."""
    count = math.prod(shape)
    with torch.inference_mode(False):  # a caller's inference mode must not mark what outlives it
        left, places = torch.arange(0, count, max(1, count // _GLANCES), device=device), []
        for size in reversed(shape):
            places.append(left % size)
            left = left // size
    return tuple(reversed(places))


def _extremes(table: Tensor) -> Tensor:
    """Smallest and largest value of each column of (rows, C), (2, C), by pieces that stay in the cache."""
    if not table.shape[0]:
        return table.new_full((2, table.shape[1]), math.nan)
    pairs = torch.stack([torch.stack(column_extremes(piece)) for (piece,) in table_chunks(table)])
    return torch.stack([pairs[:, 0].amin(0), pairs[:, 1].amax(0)])
