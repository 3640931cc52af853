"""A histogram that grows with the data and can be added to any other.

Bin edges are whole multiples of a power of two. When a value does not fit, the width doubles and neighbouring bins are
merged, which is exact: the result depends only on the values, never on their order or on how they came in batches.
"""

import math
from collections.abc import Sequence

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
        if values.device.type != "cpu" or not torch.equal(exponent, self._exponent):
            self._counts = self._widened(exponent - self._exponent)
        self._exponent = exponent
        if self._rows == 1 and finite is None and values.device.type == "cpu":
            for start in range(0, values.shape[1], _PIECE):
                bins = self._finite_bins(values[0, start : start + _PIECE], int(exponent))
                self._counts[0] += torch.bincount(bins, minlength=2 * self._half)
            return
        bins = self._bins(values, exponent)
        self._counts.scatter_add_(1, bins, torch.ones_like(bins) if finite is None else finite.long())

    def _finite_bins(self, values: Tensor, exponent: int) -> Tensor:
        """Of values on a CPU that are all finite, and therefore inside the grid."""
        if values.dtype != torch.float32 or exponent > 0:
            values = values.double()
        # a product with a power of two of 1 or more is exact in float32 as well
        return (values * math.ldexp(1.0, -exponent)).floor_().add_(self._half).int()

    def _bins(self, values: Tensor, exponent: Tensor) -> Tensor:
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

    def percentiles(self, percents: Sequence[float]) -> Tensor:
        """The values below which these shares of each row lie, linear inside a bin; shape (P, rows), float64.

        The error is at most one bin width.
        """
        counts = self.counts.double()
        cumulative = counts.cumsum(1)
        wanted = torch.tensor(percents, dtype=torch.float64) / 100.0 * cumulative[:, -1:]
        index = torch.searchsorted(cumulative, wanted).clamp(max=2 * self._half - 1)
        inside = counts.gather(1, index)
        share = torch.where(inside > 0, (wanted - cumulative.gather(1, index) + inside) / inside, 0.0)
        return (index - self._half + share).T * self.bin_width
