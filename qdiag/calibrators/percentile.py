"""Keeps a given share of the values inside the range and clips the rest."""

import torch
from torch import Tensor

from qdiag.calibrators.base import ActivationStatistics, RangeCalibrator
from qdiag.core.measures.ranges import Histogram
from qdiag.core.scheme import TensorScheme


class Percentile(RangeCalibrator):
    """Symmetric: the percentile of |x|. Affine: what lies outside is halved between the two ends."""

    def activation_range(self, statistics: ActivationStatistics, scheme: TensorScheme) -> tuple[float, float]:
        """Read off the histogram: right to one bin, 1/1024 of the largest |value| or finer."""
        seen, histogram = statistics.range, statistics.range.histogram
        if histogram is None or scheme.percentile >= 100.0:
            return seen.min, seen.max
        outside = (100.0 - scheme.percentile) / 100.0
        if scheme.symmetric:
            bound = _value_below(_folded(histogram), 1.0 - outside)
            return max(-bound, seen.min), min(bound, seen.max)
        low = _value_below(histogram, outside / 2) if seen.min < 0.0 else seen.min
        high = _value_below(histogram, 1.0 - (outside / 2 if seen.min < 0.0 else outside))
        return max(low, seen.min), min(high, seen.max)

    def weight_range(self, rows: Tensor, scheme: TensorScheme) -> tuple[Tensor, Tensor]:
        """Exact order statistics of each row."""
        outside = (100.0 - scheme.percentile) / 100.0
        if scheme.symmetric:
            bound = _order_statistic(rows.abs(), 1.0 - outside)
            return -bound, bound
        return _order_statistic(rows, outside / 2), _order_statistic(rows, 1.0 - outside / 2)


def _order_statistic(rows: Tensor, share: float) -> Tensor:
    """Linear between neighbours, like numpy's default; torch.quantile stops at 16 million elements."""
    ordered = rows.sort(dim=1).values
    position = share * (rows.shape[1] - 1)
    below = int(position)
    above = min(below + 1, rows.shape[1] - 1)
    return torch.lerp(ordered[:, below], ordered[:, above], position - below)


def _folded(histogram: Histogram) -> Histogram:
    """The histogram of |x|."""
    counts: dict[int, int] = {}
    for i, count in enumerate(histogram.counts, histogram.first_bin):
        mirrored = i if i >= 0 else -i - 1
        counts[mirrored] = counts.get(mirrored, 0) + count
    last = max(counts)
    return Histogram(histogram.bin_width, 0, tuple(counts.get(i, 0) for i in range(last + 1)))


def _value_below(histogram: Histogram, share: float) -> float:
    """The value below which `share` of the counts lie, linear inside a bin."""
    wanted, below = share * histogram.total, 0
    for i, count in enumerate(histogram.counts, histogram.first_bin):
        if count and below + count >= wanted:
            return (i + (wanted - below) / count) * histogram.bin_width
        below += count
    return (histogram.first_bin + len(histogram.counts)) * histogram.bin_width
