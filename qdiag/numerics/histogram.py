"""A histogram that grows with the data and can be added to any other.

Bin edges are whole multiples of a power of two. When a value does not fit, the width doubles and neighbouring bins are
merged, which is exact: the result depends only on the values, never on their order or on how they came in batches.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from qdiag.core.measures.ranges import Histogram
from qdiag.numerics.waiting import side_by_side, waits

HALF = 2048
"""Bins on each side of zero; the largest |value| ends in the upper half of them, so a bin is 1/1024 of it or finer."""
_SMALLEST_EXPONENT = -126
_PIECE = 1 << 15
"""Values that are counted at a time, so that what becomes of them stays in the cache."""
_COPIES = 32
"""Histograms that the threads of a GPU count into: many zeros would wait for one another at the bin of one."""
_MOST_UNADDED = 1 << 18
"""Counts of batches that are left apart on a GPU: one operation adds up all of them in place of one each."""


class HistogramAccumulator:
    """Streaming counts over bins around zero; bin i covers [(i - half) * width, (i + 1 - half) * width).

    Several rows (channels) can share one grid. Nothing is read back from a GPU until `counts` is called.

    Args:
        rows: number of rows counted apart.
        half: bins on each side of zero.
    """

    def __init__(self, rows: int = 1, half: int = HALF) -> None:
        self._rows, self._half = rows, half
        self._exponent: int | Tensor = _SMALLEST_EXPONENT
        self._counts: Tensor | None = None
        self._unadded: list[tuple[Tensor, Tensor]] = []

    def add(self, values: Tensor, max_abs: Tensor | float, finite: Tensor | None = None) -> None:
        """Counts values.

        Args:
            values: shape (rows, n).
            max_abs: shape (), at least the largest |value|; that of the whole tensor when `values` is a sample of it,
                so that the width does not depend on the sampling.
            finite: shape (rows, n), the values that count; None when all do.
        """
        # smallest e with max_abs < half * 2**e
        if not waits(values):
            self._add_at_hand(values, max(math.frexp(float(max_abs) / self._half)[1], _SMALLEST_EXPONENT), finite)
        else:
            largest = torch.as_tensor(max_abs, dtype=torch.float64, device=values.device)
            exponent = torch.frexp(largest / self._half).exponent.long().clamp(min=_SMALLEST_EXPONENT)
            self._unadded.append((exponent, self._counted(values, exponent, finite)))
            self._add_up_many()

    def _add_at_hand(self, values: Tensor, exponent: int, finite: Tensor | None) -> None:
        own = int(self._exponent)
        exponent = max(own, exponent)
        counts = self._over(self._counts_so_far(), exponent - own)
        self._exponent, self._counts = exponent, counts
        if self._rows == 1 and finite is None:
            for start in range(0, values.shape[1], _PIECE):
                bins = self._finite_bins(values[0, start : start + _PIECE], exponent)
                counts.add_(torch.bincount(bins, minlength=2 * self._half))
            return
        bins = self._bins(values, torch.tensor(exponent))
        counts.scatter_add_(1, bins, torch.ones_like(bins) if finite is None else finite.long())

    def _counts_so_far(self) -> Tensor:
        return torch.zeros(self._rows, 2 * self._half, dtype=torch.int64) if self._counts is None else self._counts

    def _over(self, counts: Tensor, doublings: int) -> Tensor:
        """Counts over bins 2**doublings times wider; themselves where that is none."""
        return self._widened(counts, torch.tensor(doublings)) if doublings and self._counts is not None else counts

    def _counted(self, values: Tensor, exponent: Tensor, finite: Tensor | None) -> Tensor:
        """Counts of values by themselves, (rows, 2 * half), without reading any."""
        if self._rows > 1 or finite is not None:
            bins = self._bins(values, exponent)
            counts = bins.new_zeros(self._rows, 2 * self._half)
            return counts.scatter_add_(1, bins, torch.ones_like(bins) if finite is None else finite.long())
        first = _first_bins(values.shape[1], self._half, values.device)
        # numbers that turn out not to be finite are collected anew, and must not point beyond the memory
        places = torch.ldexp(values[0].double(), -exponent).floor_().add_(first).nan_to_num_(0.0)
        bins = places.clamp_(0, _COPIES * 2 * self._half - 1).long()
        apart = bins.new_zeros(_COPIES * 2 * self._half).scatter_add_(0, bins, torch.ones_like(bins))
        return apart.view(_COPIES, -1).sum(0, keepdim=True)

    def _add_up(self) -> None:
        """The counts of batches that were left apart on a GPU."""
        if self._unadded:
            exponents, counts = (torch.stack(parts) for parts in zip(*self._unadded, strict=True))
            self._unadded, exponent = [], exponents.amax()
            index = torch.arange(-self._half, self._half, device=counts.device).expand(len(counts), -1)
            index = (index >> (exponent - exponents).clamp(max=62).unsqueeze(1)) + self._half
            wide = torch.zeros_like(counts).scatter_add_(2, index.unsqueeze(1).expand_as(counts), counts)
            self._join(exponent, wide.sum(0))

    def _add_up_many(self) -> None:
        if len(self._unadded) * self._rows * 2 * self._half > _MOST_UNADDED:
            self._add_up()

    def _join(self, exponent: int | Tensor, counts: Tensor) -> None:
        if self._counts is None:
            self._exponent, self._counts = exponent, counts
        elif isinstance(self._exponent, int) and isinstance(exponent, int):
            widest = max(self._exponent, exponent)
            mine, others = self._over(self._counts, widest - self._exponent), self._over(counts, widest - exponent)
            self._exponent, self._counts = widest, mine + others
        else:
            own, other = side_by_side(torch.as_tensor(self._exponent), torch.as_tensor(exponent))
            mine, counts = side_by_side(self._counts, counts)
            self._exponent = torch.maximum(own, other)
            self._counts = self._widened(mine, self._exponent - own) + self._widened(counts, self._exponent - other)

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
        self._unadded += later._unadded
        if later._counts is not None:
            self._join(later._exponent, later._counts)
        self._add_up_many()

    def _widened(self, counts: Tensor, doublings: Tensor) -> Tensor:
        """Counts over bins 2**doublings times wider: floor(i / 2**d) is an arithmetic shift."""
        index = torch.arange(-self._half, self._half, device=counts.device) >> doublings.clamp(max=62)
        return torch.zeros_like(counts).scatter_add_(1, (index + self._half).expand_as(counts), counts)

    @property
    def bin_width(self) -> float:
        self._add_up()
        self._exponent = int(self._exponent)
        return math.ldexp(1.0, self._exponent)

    @property
    def counts(self) -> Tensor:
        """Counts so far, shape (rows, 2 * half), int64, on the CPU."""
        self._add_up()
        self._counts = self._counts_so_far().cpu()
        return self._counts

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


@lru_cache(maxsize=64)
def _first_bins(count: int, half: int, device: torch.device) -> Tensor:
    """Where the bin of zero of each of so many values lies: neighbours have histograms of their own."""
    with torch.inference_mode(False):  # a caller's inference mode must not mark what outlives it
        return torch.arange(count, dtype=torch.float64, device=device).remainder_(_COPIES).mul_(2 * half).add_(half)
