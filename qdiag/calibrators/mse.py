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
_AT_ONCE = 2**16
"""Values that are quantized at once: small layers take longer to call torch for each candidate than to compute."""
_PIECE = 2**13
"""Values of a row that are quantized at once, for many candidates: what becomes of them stays in the cache."""


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
        # many rows a few at a time, so that what becomes of them stays in the cache
        at_once = max(1, _AT_ONCE // max(rows.shape[1], 1)) if rows.device.type == "cpu" else max(len(rows), 1)
        some = torch.split(rows, at_once)
        found = [_search(part, None, part.amin(1), part.amax(1), scheme) for part in some]
        return torch.cat([low for low, _ in found]), torch.cat([high for _, high in found])


def _search(
    values: Tensor, counts: Tensor | None, low: Tensor, high: Tensor, scheme: TensorScheme
) -> tuple[Tensor, Tensor]:
    """Best low (R,) and high (R,) for values (R, K) with counts (R, K)."""

    by_row = replace(scheme, granularity="per_channel", group_size=None)  # rows are groups already

    def noise(candidate_low: Tensor, candidate_high: Tensor, least: Tensor | None) -> Tensor:
        """Of candidates (S, R), shape (S, R); only begun where all of them have more than the least one (R,)."""
        count = candidate_low.numel()
        quantizer = QUANTIZERS[scheme.type].from_range(
            candidate_low.reshape(count), candidate_high.reshape(count), by_row, channel_axis=0
        )
        added = values.new_zeros(candidate_low.shape, dtype=torch.float64)
        for number, (piece, weights) in enumerate(zip(pieces, counted, strict=True)):
            if number and least is not None and bool((added > least).all()):
                break
            same = piece.float().expand(len(candidate_low), *piece.shape)
            quantized = quantizer.fake_quantize(same.reshape(count, piece.shape[1])).view(same.shape)
            error = quantized.sub_(same).double().square_()
            added += (error if weights is None else error * weights).sum(2)
        return added

    width = max(_PIECE if len(values) == 1 and values.device.type == "cpu" else values.shape[1], 1)
    pieces = torch.split(values, width, 1)
    counted = torch.split(counts, width, 1) if counts is not None else [None] * len(pieces)
    together = max(1, _AT_ONCE // max(pieces[0].numel(), 1))
    low, high = _best(noise, low, high, _SHARES, together, move_low=True, move_high=True)
    if not scheme.symmetric:
        low, high = _best(noise, low, high, _SIDE_SHARES, together, move_low=True, move_high=False)
        low, high = _best(noise, low, high, _SIDE_SHARES, together, move_low=False, move_high=True)
    return low, high


def _best(
    noise: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    low: Tensor,
    high: Tensor,
    shares: Tensor,
    together: int,
    *,
    move_low: bool,
    move_high: bool,
) -> tuple[Tensor, Tensor]:
    """The first of the best candidates of each row; the range as it is comes before all shares of it."""
    best_low, best_high, least = low, high, noise(low[None], high[None], None)[0]
    for some in torch.split(shares, together):
        lows, highs = (
            end * some.to(end)[:, None] if moves else end.expand(len(some), -1)
            for end, moves in ((low, move_low), (high, move_high))
        )
        new, number = noise(lows, highs, least).min(0)
        better = new < least
        best_low, best_high = (
            torch.where(better, ends.gather(0, number[None])[0], best)
            for ends, best in ((lows, best_low), (highs, best_high))
        )
        least = torch.minimum(least, new)
    return best_low, best_high
