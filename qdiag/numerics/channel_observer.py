"""Gathers where the values of each channel lie, over batches."""

import math

import torch
from torch import Tensor

from qdiag.core.ranges import PERCENTILES, ChannelRanges
from qdiag.numerics.histogram import HistogramAccumulator
from qdiag.numerics.moments import MomentAccumulator

_HALF = 256
"""Bins on each side of zero per channel: percentiles are good to 1/128 of the tensor's largest |value| or better."""


class ChannelObserver:
    """Streaming figures per channel over every element, in memory that grows with the channels alone.

    Args:
        channel_axis: axis of the channels; tensors without that axis are passed over.
    """

    def __init__(self, channel_axis: int) -> None:
        self._axis = channel_axis
        self._extremes: Tensor | None = None
        self._moments = MomentAccumulator()
        self._histogram = HistogramAccumulator()

    def update(self, x: Tensor) -> None:
        """Adds one batch; NaN and Inf are taken as absent."""
        if self._axis >= x.ndim:
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
            percentiles=tuple(
                tuple(torch.minimum(torch.maximum(self._histogram.percentiles(p), low), high).tolist())
                for p in PERCENTILES
            ),
        )
