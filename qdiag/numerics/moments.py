"""Sums of powers, from which mean, standard deviation and kurtosis follow."""

import math

import torch
from torch import Tensor

from qdiag.numerics.waiting import waits

_LEAST_SPREAD = 1e-14
"""Variances that are less of the mean square are what is left of a constant."""
_MOST_UNADDED = 64
"""Batches whose sums wait on a GPU until all are copied and added up here; there each would take nine operations."""


class MomentAccumulator:
    """Count, sums of the first four powers, and exact zeros, per row, in float64.

    What rounding loses where batches are added up is carried along (Knuth's TwoSum), so that the order of batches does
    not move the last bits of the totals: central moments are small differences of these, in which such bits count.

    Args:
        rows: number of rows summed apart.
    """

    def __init__(self, rows: int = 1) -> None:
        self._rows = rows
        self._own: tuple[Tensor, Tensor] | None = None
        """The sums, and what rounding took from them; on the CPU."""
        self._unadded: list[Tensor] = []

    def add(self, values: Tensor, finite: Tensor | None = None) -> None:
        """Adds values of shape (rows, n); `finite`, of the same shape, marks those that count."""
        if waits(values):
            self._unadded.append(_sums_together(values, finite))
            self._add_up_many()
            return
        # written into numbers, because a comparison that gives truth values takes several times as long
        zeros = torch.eq(values, 0.0, out=torch.empty_like(values))
        if finite is None and values.shape[0] == 1:
            numbers = [float(values.shape[1]), *map(float, _products(values.double())), float(_counted(zeros))]
            self._take(torch.tensor(numbers, dtype=torch.float64).view(6, 1))
            return
        if finite is None:
            x = values.to(torch.float64, copy=True)
            counts = torch.full((x.shape[0],), float(x.shape[1]), dtype=torch.float64, device=x.device)
        else:
            x, counts = torch.where(finite, values.double(), 0.0), finite.sum(1).double()
        found = [counts, *(_products(x) if x.shape[0] == 1 else _sums(x)), _counted(zeros)]
        self._take(torch.stack(found))

    def _take(self, new: Tensor, lost: Tensor | None = None) -> None:
        lost = torch.zeros_like(new) if lost is None else lost
        if self._own is None:
            self._own = new, lost
            return
        old, carried = self._own
        total = old + new
        share = total - old
        self._own = total, carried + lost + ((old - (total - share)) + (new - share))

    def merge(self, later: "MomentAccumulator") -> None:
        """Adds what another one saw, of the same rows."""
        if later._own is not None:
            self._take(*later._own)
        self._unadded += later._unadded
        self._add_up_many()

    def _add_up(self) -> None:
        """What was left on a GPU, for which the processor waits once."""
        if self._unadded:
            unadded, self._unadded = torch.stack(self._unadded).cpu(), []
            for new in unadded:
                self._take(new)

    def _add_up_many(self) -> None:
        if len(self._unadded) > _MOST_UNADDED:
            self._add_up()

    @property
    def _sums(self) -> Tensor:
        """All zero before any value came."""
        self._add_up()
        if self._own is None:
            return torch.zeros(6, self._rows, dtype=torch.float64)
        sums, lost = self._own
        return sums + lost

    @property
    def count(self) -> int:
        """Values so far, over all rows."""
        return int(self._sums[0].sum())

    def of_one_row(self) -> tuple[float, float, float, float]:
        """Mean, standard deviation, kurtosis and share of zeros of the only row, as below.

        Numbers of Python take a tenth of the time of as many tensors.
        """
        count, *sums, zeros = self._sums[:, 0].tolist()
        if not count:
            return math.nan, 0.0, math.nan, math.nan
        mean, second, third, fourth = (total / count for total in sums)
        variance = second - mean * mean
        if not variance > _LEAST_SPREAD * second:
            return mean, 0.0, math.nan, zeros / count
        central = fourth - 4 * mean * third + 6 * mean * mean * second - 3 * mean * mean * mean * mean
        return mean, math.sqrt(variance), central / variance / variance, zeros / count

    def mean(self) -> Tensor:
        """Shape (rows,)."""
        return self._row(1)

    def std(self) -> Tensor:
        """Population standard deviation, shape (rows,)."""
        return self._variance().sqrt()

    def kurtosis(self) -> Tensor:
        """Fourth standardized moment, 3 for a Gaussian; NaN for a constant; shape (rows,)."""
        mean, variance = self._row(1), self._variance()
        fourth = self._row(4) - 4 * mean * self._row(3) + 6 * mean**2 * self._row(2) - 3 * mean**4
        return torch.where(variance > 0, fourth / variance**2, math.nan)

    def zero_fraction(self) -> Tensor:
        """Share of exact zeros, shape (rows,)."""
        return self._row(5)

    def _row(self, power: int) -> Tensor:
        sums = self._sums
        return sums[power] / sums[0]

    def _variance(self) -> Tensor:
        variance = (self._row(2) - self._row(1) ** 2).clamp(min=0.0)
        # what is left of a constant after cancellation in float64 is not a spread
        return torch.where(variance > _LEAST_SPREAD * self._row(2), variance, 0.0)


def _sums_together(values: Tensor, finite: Tensor | None) -> Tensor:
    """All rows of the sums, (6, rows), in few operations, each of which has to be started on a GPU."""
    x = values.double() if finite is None else torch.where(finite, values, 0.0).double()
    square = x * x
    ones = torch.ones_like(x) if finite is None else finite.double()
    return torch.stack([ones, x, square, square * x, square * square, (values == 0.0).double()]).sum(2)


def _products(x: Tensor) -> list[Tensor]:
    """Sums of the first four powers of one row, (1,) each: BLAS adds up as it multiplies."""
    row, square = x[0], x[0] * x[0]
    pairs = ((row, row), (square, row), (square, square))
    return [x.sum(1), *(torch.dot(a, b).view(1) for a, b in pairs)]


def _sums(x: Tensor) -> list[Tensor]:
    """The same of each row; x is written to."""
    square, found = x * x, [x.sum(1)]
    found += [square.sum(1), x.mul_(square).sum(1)]
    return [*found, square.mul_(square).sum(1)]


def _counted(ones: Tensor) -> Tensor:
    """How many of each row are one and not zero; float32 holds whole numbers up to 2^24."""
    fits = ones.dtype == torch.float32 and ones.shape[1] <= 1 << 24
    return ones.sum(1, dtype=None if fits else torch.float64).double()
