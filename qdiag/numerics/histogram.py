"""A histogram that grows with the data and can be added to any other.

Bin edges are whole multiples of a power of two. When a value does not fit, the width doubles and neighbouring bins are
merged, which is exact: the result depends only on the values, never on their order or on how they came in batches.
"""

import math

import torch
from torch import Tensor

from qdiag.core.measures.ranges import Histogram

HALF = 2048
"""Bins on each side of zero; the largest |value| ends in the upper half of them, so a bin is 1/1024 of it or finer."""
_SMALLEST_EXPONENT = -126
_PIECE = 1 << 15
"""Values that are counted at a time, so that what becomes of them stays in the cache."""


class HistogramAccumulator:
    """Streaming counts over bins around zero; bin i covers [(i - half) * width, (i + 1 - half) * width).

    Several rows (channels) can share one grid. Nothing is read back from a GPU until `counts` is called.

    Args:
        rows: number of rows counted apart.
        half: bins on each side of zero.
    """

    def __init__(self, rows: int = 1, half: int = HALF) -> None:
        self._rows, self._half = rows, half
        self._exponent = torch.full((), _SMALLEST_EXPONENT, dtype=torch.int64)
        self._counts = torch.zeros(rows, 2 * half, dtype=torch.int64)

    def add(self, values: Tensor, max_abs: Tensor, finite: Tensor | None = None) -> None:
        """Counts values.

        Args:
            values: shape (rows, n).
            max_abs: shape (), at least the largest |value|; that of the whole tensor when `values` is a sample of it,
                so that the width does not depend on the sampling.
            finite: shape (rows, n), the values that count; None when all do.
        """
        self._exponent = self._exponent.to(values.device)
        self._counts = self._counts.to(values.device)
        # smallest e with max_abs < half * 2**e
        exponent = torch.frexp(max_abs.double() / self._half).exponent.long().clamp(min=_SMALLEST_EXPONENT)
        exponent = torch.maximum(self._exponent, exponent)
        self._counts = self._widened(exponent - self._exponent)
        self._exponent = exponent
        if self._rows == 1 and finite is None and values.device.type == "cpu":
            for start in range(0, values.shape[1], _PIECE):
                bins = self._bins(values[0, start : start + _PIECE], exponent)
                self._counts[0] += torch.bincount(bins, minlength=2 * self._half)
            return
        bins = self._bins(values, exponent)
        self._counts.scatter_add_(1, bins, torch.ones_like(bins) if finite is None else finite.long())

    def _bins(self, values: Tensor, exponent: Tensor) -> Tensor:
        if values.device.type == "cpu" and values.dtype == torch.float32 and int(exponent) <= 0:
            # a product with a power of two of 1 or more is exact in float32 as well
            bins = (values * math.ldexp(1.0, -int(exponent))).floor_().nan_to_num_(0.0)
            return bins.add_(self._half).clamp_(0, 2 * self._half - 1).long()
        bins = torch.ldexp(values.double(), -exponent).floor_().nan_to_num_(0.0)
        return bins.add_(self._half).clamp_(0, 2 * self._half - 1).long()

    def merge(self, later: "HistogramAccumulator") -> None:
        """Adds what another one counted, of the same rows: exactly what one of both data would hold."""
        for one in (self, later):
            one._exponent, one._counts = one._exponent.cpu(), one._counts.cpu()
        exponent = torch.maximum(self._exponent, later._exponent)
        self._counts = self._widened(exponent - self._exponent) + later._widened(exponent - later._exponent)
        self._exponent = exponent

    def _widened(self, doublings: Tensor) -> Tensor:
        """Counts over bins 2**doublings times wider: floor(i / 2**d) is an arithmetic shift."""
        index = torch.arange(-self._half, self._half, device=self._counts.device) >> doublings.clamp(max=62)
        return torch.zeros_like(self._counts).scatter_add_(
            1, (index + self._half).expand_as(self._counts), self._counts
        )

    @property
    def bin_width(self) -> float:
        return math.ldexp(1.0, int(self._exponent))

    @property
    def counts(self) -> Tensor:
        """Counts so far, shape (rows, 2 * half), int64, on the CPU."""
        return self._counts.cpu()

    def histogram(self) -> Histogram | None:
        """The first row between its first and last filled bin; None before any value came."""
        counts = self.counts[0]
        filled = torch.nonzero(counts).view(-1)
        if not filled.numel():
            return None
        first, last = int(filled[0]), int(filled[-1])
        return Histogram(self.bin_width, first - self._half, tuple(counts[first : last + 1].tolist()))

    def percentiles(self, percent: float) -> Tensor:
        """The value below which `percent` of each row lies, linear inside a bin; shape (rows,), float64.

        The error is at most one bin width.
        """
        cumulative = self.counts.double().cumsum(1)
        wanted = percent / 100.0 * cumulative[:, -1:]
        index = (cumulative < wanted).sum(1, keepdim=True).clamp(max=2 * self._half - 1)
        inside = self.counts.double().gather(1, index)
        share = torch.where(inside > 0, (wanted - cumulative.gather(1, index) + inside) / inside, 0.0)
        return (index - self._half + share).squeeze(1) * self.bin_width
