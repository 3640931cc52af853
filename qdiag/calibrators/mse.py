"""The range whose quantizer has the smallest mean squared error: clipping noise against rounding noise."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from qdiag.calibrators.base import ActivationStatistics, RangeCalibrator
from qdiag.core.scheme import TensorScheme
from qdiag.numerics.quantizers import QUANTIZERS

_SHARES = torch.linspace(0.01, 1.0, 100)
"""Candidate ranges, as shares of the whole one."""
_SIDE_SHARES = torch.linspace(0.3, 1.0, 36)
"""Then each end of an affine range alone, as shares of what the first search found."""


class MeanSquaredError(RangeCalibrator):
    """Both ends shrink together first; then, for affine quantizers, each end alone."""

    def activation_range(self, statistics: ActivationStatistics, scheme: TensorScheme) -> tuple[float, float]:
        """Searches on the histogram, every value at the centre of its bin."""
        seen, histogram = statistics.range, statistics.range.histogram
        if histogram is None:
            return seen.min, seen.max
        counts = torch.tensor(histogram.counts, dtype=torch.float64)
        centres = (torch.arange(len(counts)) + histogram.first_bin + 0.5) * histogram.bin_width
        centres = centres.clamp(seen.min, seen.max).unsqueeze(0)
        low, high = _search(centres, counts.unsqueeze(0), torch.tensor([seen.min]), torch.tensor([seen.max]), scheme)
        return float(low[0]), float(high[0])

    def weight_range(self, rows: Tensor, scheme: TensorScheme) -> tuple[Tensor, Tensor]:
        """Searches on the weights themselves, row by row."""
        return _search(rows, None, rows.amin(1), rows.amax(1), scheme)


def _search(
    values: Tensor, counts: Tensor | None, low: Tensor, high: Tensor, scheme: TensorScheme
) -> tuple[Tensor, Tensor]:
    """Best low (R,) and high (R,) for values (R, K) with counts (R, K)."""

    by_row = replace(scheme, granularity="per_channel", group_size=None)  # rows are groups already

    def noise(candidate_low: Tensor, candidate_high: Tensor) -> Tensor:
        quantizer = QUANTIZERS[scheme.type].from_range(candidate_low, candidate_high, by_row, channel_axis=0)
        error = (values.float() - quantizer.fake_quantize(values.float())).double().square()
        return (error if counts is None else error * counts).sum(1)

    low, high = _best(noise, low, high, _SHARES, move_low=True, move_high=True)
    if not scheme.symmetric:
        low, high = _best(noise, low, high, _SIDE_SHARES, move_low=True, move_high=False)
        low, high = _best(noise, low, high, _SIDE_SHARES, move_low=False, move_high=True)
    return low, high


def _best(
    noise: Callable[[Tensor, Tensor], Tensor],
    low: Tensor,
    high: Tensor,
    shares: Tensor,
    *,
    move_low: bool,
    move_high: bool,
) -> tuple[Tensor, Tensor]:
    best_low, best_high, least = low, high, noise(low, high)
    for share in shares.tolist():
        new_low = low * share if move_low else low
        new_high = high * share if move_high else high
        new = noise(new_low, new_high)
        better = new < least
        best_low, best_high = torch.where(better, new_low, best_low), torch.where(better, new_high, best_high)
        least = torch.minimum(least, new)
    return best_low, best_high
