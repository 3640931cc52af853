"""Gathers where the values of each channel lie, over batches."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from qdiag.core.measures.ranges import PERCENTILES, ChannelRanges
from qdiag.numerics.histogram import HistogramAccumulator
from qdiag.numerics.moments import MomentAccumulator

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
    """

    def __init__(self, channel_axis: int, *, is_glance: bool = False) -> None:
        self._axis, self._is_glance = channel_axis, is_glance
        self._extremes: Tensor | None = None
        self._moments = MomentAccumulator()
        self._histogram = HistogramAccumulator()

    def update(self, x: Tensor) -> None:
        """Adds one batch; NaN and Inf are taken as absent."""
        if self._axis >= x.ndim:
            return
        if self._is_glance and x.device.type == "cpu":
            self._glance(x)
            return
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

    def _glance(self, x: Tensor) -> None:
        table = x.movedim(self._axis, -1).reshape(-1, x.shape[self._axis])
        extremes = torch.stack([_by_column(table, torch.amin), _by_column(table, torch.amax)])
        is_finite = bool(torch.isfinite(extremes).all())
        if not is_finite:
            finite = torch.isfinite(table)
            low = torch.where(finite, table, math.inf).amin(0)
            extremes = torch.stack([low, torch.where(finite, table, -math.inf).amax(0)])
        rows = table[:: max(1, table.shape[0] // _GLANCES)].T
        if self._extremes is None:
            self._extremes, self._moments = extremes, MomentAccumulator(rows.shape[0])
        else:
            low = torch.minimum(self._extremes[0], extremes[0])
            self._extremes = torch.stack([low, torch.maximum(self._extremes[1], extremes[1])])
        self._moments.add(rows, None if is_finite else torch.isfinite(rows))

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
            else tuple(
                tuple(torch.minimum(torch.maximum(self._histogram.percentiles(p), low), high).tolist())
                for p in PERCENTILES
            ),
        )


def _by_column(table: Tensor, reduce: Callable[..., Tensor]) -> Tensor:
    """Largest or smallest value of each column; rows are first laid side by side, since wide rows reduce faster."""
    rows, columns = table.shape
    side_by_side = next((k for k in (64, 16, 4) if rows % k == 0), 1)
    if not rows:
        return table.new_full((columns,), math.nan)
    return reduce(reduce(table.reshape(rows // side_by_side, -1), 0).view(side_by_side, columns), 0)
