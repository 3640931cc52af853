"""Sums of powers, from which mean, standard deviation and kurtosis follow."""

import math

import torch
from torch import Tensor


class MomentAccumulator:
    """Count, sums of the first four powers, and exact zeros, per row, in float64.

    Args:
        rows: number of rows summed apart.
    """

    def __init__(self, rows: int = 1) -> None:
        self._sums = torch.zeros(6, rows, dtype=torch.float64)

    def add(self, values: Tensor, finite: Tensor | None = None) -> None:
        """Adds values of shape (rows, n); `finite`, of the same shape, marks those that count."""
        x = values.double()
        zeros = x == 0
        if finite is None:
            count = torch.full((x.shape[0],), float(x.shape[1]), dtype=torch.float64, device=x.device)
        else:
            x, zeros, count = torch.where(finite, x, 0.0), zeros & finite, finite.sum(1).double()
        square = x * x
        new = [count, x.sum(1), square.sum(1), (square * x).sum(1), (square * square).sum(1), zeros.sum(1).double()]
        self._sums = self._sums.to(x.device) + torch.stack(new)

    def merge(self, later: "MomentAccumulator") -> None:
        """Adds what another one saw, of the same rows."""
        self._sums = self._sums.cpu() + later._sums.cpu()

    @property
    def count(self) -> int:
        """Values so far, over all rows."""
        return int(self._sums[0].sum())

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
        sums = self._sums.cpu()
        return sums[power] / sums[0]

    def _variance(self) -> Tensor:
        variance = (self._row(2) - self._row(1) ** 2).clamp(min=0.0)
        # what is left of a constant after cancellation in float64 is not a spread
        return torch.where(variance > 1e-14 * self._row(2), variance, 0.0)
