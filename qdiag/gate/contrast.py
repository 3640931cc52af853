"""What two networks differ by on the same samples, against a limit: the interval, and how many samples settle it.

Every limit on a loss of accuracy is a sentence about the mean of one number per sample, x, which takes three values:
where only the float network is right, where only the quantized one is, and where both are (it is 0 where neither is).
For the drop, x is 1, -1 and 0, and its mean is held against the limit. For a relative drop r, which asks for
`quantized >= (1 - r) * float`, x is 1 - r, -1 and -r, and its mean is held against 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from qdiag.core.measures.outcomes import SampleOutcomes, unpack_bits
from qdiag.core.measures.task import Z_95, Interval, PairedCounts

Z_80 = 0.8416212335729143
"""Normal quantile of 80 %: how often the samples that are asked for shall be enough."""

SAMPLES_AT_MOST = 100_000_000


@dataclass(frozen=True, slots=True)
class Contrast:
    """The mean of x over samples, with one sample added to each kind of disagreement.

    Those two samples are the adjustment of Bonett & Price (Journal of Educational and Behavioral Statistics 37(4),
    2012): without it, the interval is a point where no disagreement was seen. With x of 1, -1, 0 the interval is that
    of `PairedCounts.drop_interval_pp`.

    Attributes:
        groups: values of x and how many samples have them, not adjusted; they need not be whole. 0 is left out.
        added: x of the two samples that are added.
        count: samples, those with an x of 0 too.
    """

    groups: tuple[tuple[float, float], ...]
    added: tuple[float, float]
    count: float

    @property
    def mean(self) -> float:
        return (sum(x * n for x, n in self.groups) + sum(self.added)) / (self.count + 2)

    @property
    def standard_error(self) -> float:
        squares = sum(x * x * n for x, n in self.groups) + sum(x * x for x in self.added)
        return math.sqrt(max(squares / (self.count + 2) - self.mean**2, 0.0) / (self.count + 2))

    @property
    def interval(self) -> Interval:
        """95 %."""
        margin = Z_95 * self.standard_error
        return Interval(self.mean - margin, self.mean + margin)

    def scaled(self, count: float) -> "Contrast":
        """The same rates on so many samples."""
        factor = count / self.count
        return Contrast(tuple((x, n * factor) for x, n in self.groups), self.added, count)


def drop_contrast(counts: PairedCounts) -> Contrast:
    """x is what a sample costs; its mean is the drop, as a fraction."""
    return Contrast(((1.0, counts.reference_only), (-1.0, counts.simulated_only)), (1.0, -1.0), counts.sample_count)


def relative_contrast(counts: PairedCounts, relative: float) -> Contrast:
    """The mean of x is above 0 when more than the share `relative` of the float accuracy is lost."""
    lost, won, both = 1.0 - relative, -1.0, -relative
    groups = ((lost, counts.reference_only), (won, counts.simulated_only), (both, counts.both))
    return Contrast(groups, (lost, won), counts.sample_count)


def drop_change_contrast(now: SampleOutcomes, before: SampleOutcomes) -> Contrast | None:
    """x is what a sample costs now minus what it cost before, -2 to 2; its mean is the change of the drop.

    Returns:
        None when the two are not of equally many samples, hold numbers, or lack one of the networks.
    """
    if not (now.are_bits and before.are_bits):
        return None
    columns = [
        unpack_bits(text, now.count) for text in (now.reference, before.simulated, now.simulated, before.reference)
    ]
    if now.count != before.count or not now.count or None in columns:
        return None
    plus_now, plus_before, minus_now, minus_before = (column or 0 for column in columns)
    every = (1 << now.count) - 1
    groups: dict[float, int] = {}
    for signs in product((0, 1), repeat=4):
        chosen = every
        for sign, column in zip(signs, (plus_now, plus_before, minus_now, minus_before), strict=True):
            chosen &= column if sign else every & ~column
        x = float(signs[0] + signs[1] - signs[2] - signs[3])
        if x and chosen:
            groups[x] = groups.get(x, 0) + chosen.bit_count()
    return Contrast(tuple(sorted(groups.items())), (1.0, -1.0), now.count)


def flips_change_contrast(now: SampleOutcomes, before: SampleOutcomes) -> Contrast | None:
    """x is 1 where the answer is changed now and was not before, -1 the other way round; None as above."""
    if now.count != before.count or not (now.are_bits and before.are_bits):
        return None
    counts = PairedCounts.of_bits(reference=before.simulated, simulated=now.simulated, count=now.count)
    return drop_contrast(counts) if counts is not None else None


def relative_drop_interval(counts: PairedCounts) -> Interval:
    """95 % interval of the relative drop in percent: all r that the interval of `relative_contrast` does not refute.

    Source: Fieller, Journal of the Royal Statistical Society B 16(2), 1954, for a ratio of two correlated means.
    Unbounded, [-inf, inf], when the float network is not certainly right on anything.
    """
    total = counts.sample_count + 2
    quantized = (counts.both + counts.simulated_only + 1) / total
    reference = (counts.both + counts.reference_only + 1) / total
    k = Z_95**2 / total
    # (theta * reference - quantized)^2 <= k * var, a quadratic in theta = 1 - r
    a = (1 + k) * reference**2 - k * reference
    half_b = (1 + k) * quantized * reference - k * counts.both / total
    c = (1 + k) * quantized**2 - k * quantized
    discriminant = half_b**2 - a * c
    if a <= 0.0 or discriminant < 0.0:
        return Interval(-math.inf, math.inf)
    root = math.sqrt(discriminant)
    return Interval(100.0 * (1.0 - (half_b + root) / a), 100.0 * (1.0 - (half_b - root) / a))


def samples_to_settle(contrast: Contrast, limit: float) -> int | None:
    """How many more samples it takes until the interval most likely leaves out the limit.

    If the rates seen so far are the true ones, the mean on N samples scatters around its expectation with the standard
    error of N samples, so the interval leaves out the limit in four runs out of five when
    `|mean(N) - limit| >= (z_0.975 + z_0.8) * standard_error(N)`. The smallest such N is sought; without the two added
    samples it would be `N = (z_0.975 + z_0.8)^2 * variance(x) / (mean - limit)^2`.

    Returns:
        None when not even `SAMPLES_AT_MOST` would do, as when the mean lies on the limit.
    """

    def is_settled(count: float) -> bool:
        larger = contrast.scaled(count)
        return abs(larger.mean - limit) >= (Z_95 + Z_80) * larger.standard_error

    return _more_samples(is_settled, int(contrast.count))


def mean_samples_to_settle(value: float, interval: Interval, count: int, limit: float) -> int | None:
    """The same for a figure of which only the 95 % interval on `count` samples is known.

    The half width w of such an interval shrinks with the square root of the samples, so that
    `N = count ((1 + z_0.8 / z_0.975) w / (value - limit))^2`.
    """
    distance, half_width = abs(value - limit), (interval.high - interval.low) / 2.0
    if not distance or not math.isfinite(half_width / distance):
        return None
    needed = math.ceil(count * ((1.0 + Z_80 / Z_95) * half_width / distance) ** 2)
    return max(1, needed - count) if needed <= SAMPLES_AT_MOST else None


def _more_samples(is_settled: Callable[[float], bool], count: int) -> int | None:
    if count < 1:
        return None
    low, high = count, count + 1
    while not is_settled(high):
        low, high = high, 2 * high
        if high > SAMPLES_AT_MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_settled(middle) else (middle, high)
    return high - count
