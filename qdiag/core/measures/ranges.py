"""Where the values of a tensor lie: plain numbers per tensor and per channel."""

import math
from dataclasses import dataclass

PERCENTILES = (0.01, 0.1, 1.0, 50.0, 99.0, 99.9, 99.99)
"""Percentiles that every `TensorRange` carries, in percent."""


_OUTLIER_KURTOSIS = 30.0
"""Of a channel of which single values hold the power."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts over bins whose edges are whole multiples of a power of two, so that any two histograms can be added.

    Bin i covers [(first_bin + i) * bin_width, (first_bin + i + 1) * bin_width).
    """

    bin_width: float
    first_bin: int
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class TensorRange:
    """Range and shape of a distribution.

    Attributes:
        count: finite values seen; min and max run over all of them.
        sampled_count: values behind mean, std, kurtosis, zero_fraction, percentiles and histogram.
        kurtosis: fourth standardized moment; 3 for a Gaussian, larger with outliers.
        zero_fraction: share of exact zeros.
        percentiles: one value per entry of PERCENTILES, read off the histogram (error: at most one bin).
    """

    count: int
    sampled_count: int
    nonfinite_count: int
    min: float
    max: float
    mean: float
    std: float
    kurtosis: float
    zero_fraction: float
    percentiles: tuple[float, ...] = ()
    histogram: Histogram | None = None

    @property
    def power(self) -> float:
        """Mean square of the values."""
        return self.mean**2 + self.std**2

    @property
    def max_abs(self) -> float:
        return max(abs(self.min), abs(self.max))

    def overshoot_percent(self, low: float, high: float) -> float:
        """How far the 99th percentile lies above a range, or the 1st below it, in percent of the range; 0 inside, NaN
        without percentiles, and for a range without width."""
        if not self.percentiles or not high > low:
            return math.nan
        above = self.percentiles[PERCENTILES.index(99.0)] - high
        below = low - self.percentiles[PERCENTILES.index(1.0)]
        return 100.0 * max(above, below, 0.0) / (high - low)


@dataclass(frozen=True, slots=True)
class ChannelRanges:
    """The same figures per channel, as columns of equal length C along `channel_axis`."""

    channel_axis: int
    min: tuple[float, ...]
    max: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    kurtosis: tuple[float, ...]
    zero_fraction: tuple[float, ...]
    percentiles: tuple[tuple[float, ...], ...] = ()
    """One column per entry of PERCENTILES."""

    def channel(self, index: int) -> TensorRange:
        """The figures of one channel; how many values are behind them is not kept."""
        mean, std, kurtosis = self.mean[index], self.std[index], self.kurtosis[index]
        return TensorRange(0, 0, 0, self.min[index], self.max[index], mean, std, kurtosis, self.zero_fraction[index])

    @property
    def varying_stds(self) -> dict[int, float]:
        """Standard deviation of every channel that varies, other than by single values."""
        pairs = zip(self.std, self.kurtosis, strict=True)
        return {c: std for c, (std, kurtosis) in enumerate(pairs) if std > 0.0 and kurtosis < _OUTLIER_KURTOSIS}

    @property
    def widths(self) -> list[float]:
        """Largest |value| of each channel, ascending."""
        return sorted(max(abs(low), abs(high)) for low, high in zip(self.min, self.max, strict=True))

    @property
    def median(self) -> float:
        """Largest |value| of the channel of median width; 0 without channels."""
        widths = self.widths
        return widths[len(widths) // 2] if widths else 0.0

    @property
    def largest(self) -> float:
        """Largest |value| of all channels."""
        return max(self.widths, default=0.0)

    @property
    def spread_bits(self) -> float:
        """log2 of the largest channel range over the median one: bits that a shared scale costs the median channel."""
        return math.log2(self.largest / self.median) if self.median > 0.0 else math.nan
