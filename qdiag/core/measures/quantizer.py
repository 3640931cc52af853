"""A quantizer as plain numbers: what detectors, plots and words ask instead of a scale."""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from qdiag.core.formats.float_steps import FloatSteps
from qdiag.core.measures.ranges import TensorRange
from qdiag.core.tensor_scheme import FLOAT_TYPES

_UNEVEN_STEPS = 3.0
"""Uneven levels lie closer towards zero, so that few of them hold values as well as many even ones."""
_BELOW_BEST_DB = 3.0
"""Noise twice as strong as where every level is used."""
_GAUSSIAN_RANGE = 4.0
"""Standard deviations from zero to the end of the range."""


@dataclass(frozen=True, slots=True)
class QuantizerRecord:
    """One quantizer, or its widest channel or group: even steps with a scale, or uneven ones level by level.

    Attributes:
        bits: of one stored value. symmetric: zero point 0 and a range mirrored at zero.
        scale: step in real units. zero_point: integer that stands for 0.0. quant_min, quant_max: the integers. All four
            are None in a format with uneven levels: it has no integers at one scale.
        range_min, range_max: representable range in real units, after rounding of the zero point.
        shared_with: the layer whose quantizer this is (pooling, reshape), or None when it is the layer's own.
        type: name of the number format, as schemes have it.
        levels: the values of an uneven format, ascending. edges: one more; what lies between two of them rounds to the
            level there, what lies beyond the outermost is clipped; infinite in formats that are made of the values
            themselves, where nothing is. Both are empty with even steps.
        mantissa_bits, smallest_step: of a floating-point format with too many levels to list them, see `FloatSteps`.
    """

    bits: int
    symmetric: bool
    scale: float | None
    zero_point: int | None
    quant_min: int | None
    quant_max: int | None
    range_min: float
    range_max: float
    shared_with: str | None = None
    type: str = "affine"
    levels: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    mantissa_bits: int | None = None
    smallest_step: float | None = None

    @property
    def has_range(self) -> bool:
        """Values may leave what it holds, or fill it badly; not so the formats that take the sign of a value."""
        return not self.edges or math.isfinite(self.edges[-1])

    @property
    def level_count(self) -> int:
        if self.quant_min is None or self.quant_max is None:
            return self._floats.count if self._floats is not None else len(self.levels)
        return self.quant_max - self.quant_min + 1

    def values(self, every: int = 1) -> tuple[float, ...]:
        """Every so many of the levels, ascending."""
        if self.scale is None or self.quant_min is None or self.quant_max is None or self.zero_point is None:
            if self._floats is not None:
                return tuple(map(self._floats.level, range(0, self._floats.count, every)))
            return self.levels[::every]
        return tuple((q - self.zero_point) * self.scale for q in range(self.quant_min, self.quant_max + 1, every))

    @property
    def clip_bounds(self) -> tuple[float, float]:
        """What lies beyond is drawn as clipped: the range, or the outermost edges."""
        return (self.edges[0], self.edges[-1]) if self.edges else (self.range_min, self.range_max)

    @property
    def is_floating(self) -> bool:
        """Floating-point numbers: a bit is the sign's whatever the values are, and steps go with the values."""
        return self.type in FLOAT_TYPES

    @property
    def is_wide(self) -> bool:
        """It has too many levels to list them, at uneven distances, and reaches much further than values do."""
        return self.smallest_step is not None

    @property
    def zero_bound(self) -> float:
        """Smaller |values| round to 0; none do in a format without one."""
        if self.levels and 0.0 not in self.levels:
            return 0.0
        if self.smallest_step is not None:
            return self.smallest_step / 2.0
        return self.scale / 2.0 if self.scale is not None else self.edges[self._cell(0.0) + 1]

    def step_at(self, value: float) -> float:
        """From the level that a value rounds to, to the next one above it; the last step at the end of the range."""
        if self.scale is not None:
            return self.scale
        if self._floats is not None:
            return self._floats.step(value)
        above = min(self._cell(value) + 1, len(self.levels) - 1)
        return self.levels[above] - self.levels[above - 1]

    def steps_between(self, low: float, high: float) -> float:
        """Steps from one value to another; whole ones, inside the range, where they are uneven."""
        return (high - low) / self.scale if self.scale is not None else float(self._cell(high) - self._cell(low))

    def effective_bits(self, max_abs: float, largest: float) -> float:
        """Bits that values up to `max_abs` have of a quantizer that reaches up to `largest`; both above zero."""
        if self.scale is not None:
            return self.bits + math.log2(max_abs / largest)
        reach = self.range_max * max_abs / largest if self.has_range else max_abs
        return math.log2(self._cell(reach) - self._cell(-reach) + 1)

    def expected_sqnr_db(self, seen: TensorRange | None, power: float) -> float:
        """SQNR if rounding were the only noise; NaN without a signal.

        Even steps that are small beside the values make noise of power scale^2 / 12 (arXiv 1803.08607, eq. 6 to 8).
        With uneven ones noise goes with the values: it is added up over their histogram, or over a Gaussian of their
        mean and deviation between their minimum and maximum, and its share of their power is taken.

        Args:
            seen: where the values lie. power: their mean square.
        """
        if not power > 0.0:
            return math.nan
        if self.scale is not None:
            return 10.0 * math.log10(12.0 * power) - 20.0 * math.log10(self.scale)
        share = self._noise_share(seen)
        return -10.0 * math.log10(share) if share > 0.0 else math.inf if share == 0.0 else math.nan

    def expected_noise_power(self, seen: TensorRange | None, power: float) -> float:
        """Mean square of the error that rounding alone would make, see `expected_sqnr_db`."""
        if self.scale is not None:
            return self.scale**2 / 12.0
        return power * self._noise_share(seen)

    @property
    def gaussian_sqnr_db(self) -> float:
        """Of Gaussian values that reach four standard deviations to the end of the range; without one, of those whose
        standard deviation suits the levels best."""
        if self.scale is not None:
            return 6.02 * self.bits - 7.3
        if not self.has_range:
            return max(self._of_gaussian(self.range_max * 2.0 ** (k / 16.0)) for k in range(-32, 33))
        return self._of_gaussian(self.range_max / _GAUSSIAN_RANGE)

    def sqnr_limit_db(self, limit_db: float) -> float:
        """A limit that was set for even steps; no higher than 3 dB below the best that uneven ones give."""
        return limit_db if self.scale is not None else min(limit_db, self.gaussian_sqnr_db - _BELOW_BEST_DB)

    def steps_limit(self, limit: float) -> float:
        """A number of even steps that is few, as a number of this quantizer's steps."""
        return limit if self.scale is not None else min(limit, _UNEVEN_STEPS, self.level_count - 1.0)

    def bits_limit(self, lost: float) -> float:
        """Effective bits that are few: so many fewer than all; with uneven steps, few steps on each side of zero."""
        if self.scale is not None:
            return self.bits - lost
        few = (_UNEVEN_STEPS - 1.0) * (2.0 if self.range_min < 0.0 else 1.0) + 1.0
        return math.log2(max(1.0, min(few, self.level_count - 1.0)))

    @property
    def _floats(self) -> FloatSteps | None:
        if self.mantissa_bits is None or self.smallest_step is None:
            return None
        return FloatSteps(self.mantissa_bits, self.smallest_step, self.range_max)

    def _noise_share(self, seen: TensorRange | None) -> float:
        if seen is None:
            return math.nan
        return _noise_share(self._floats or (self.levels, self.edges), seen)

    def _of_gaussian(self, std: float) -> float:
        """Expected SQNR of Gaussian values around zero, four standard deviations of them."""
        reach = _GAUSSIAN_RANGE * std
        low = max(-reach, self.range_min) if self.has_range else -reach
        gaussian = TensorRange(0, 0, 0, low, reach, 0.0, std, 3.0, 0.0)
        return self.expected_sqnr_db(gaussian, std**2)

    def _cell(self, value: float) -> int:
        if self._floats is not None:
            return self._floats.cell(value)
        return min(max(bisect_right(self.edges, value) - 1, 0), len(self.levels) - 1)


@lru_cache(maxsize=4096)
def _noise_share(grid: FloatSteps | tuple[tuple[float, ...], tuple[float, ...]], seen: TensorRange) -> float:
    """Mean squared distance of values from their levels over their mean square; NaN for zeros."""
    if isinstance(grid, FloatSteps):
        return grid.noise_share(_bins(seen))
    levels, edges = grid
    noise = power = 0.0
    for low, high, weight in _bins(seen):
        inside = edges[bisect_right(edges, low) : bisect_right(edges, high)]
        for a, b in pairwise((low, *inside, high)):
            share = weight * (b - a) / (high - low) if high > low else weight
            cell = bisect_right(edges, (a + b) / 2.0) - 1
            if 0 <= cell < len(levels):  # beyond the outermost edges values are clipped, which is no rounding
                noise += share * _mean_square(a - levels[cell], b - levels[cell])
            power += share * _mean_square(a, b)
    return noise / power if power > 0.0 else math.nan


def _mean_square(a: float, b: float) -> float:
    """Of values spread evenly from a to b."""
    return (a * a + a * b + b * b) / 3.0


def _bins(seen: TensorRange) -> list[tuple[float, float, float]]:
    """Low end, high end and weight of each bin."""
    histogram = seen.histogram
    if histogram is not None and histogram.total:
        width, first = histogram.bin_width, histogram.first_bin
        found = []
        for i, count in enumerate(histogram.counts, first):
            low, high = max(i * width, seen.min), min((i + 1) * width, seen.max)
            if count:
                found.append((min(low, high), high, float(count)))
        return found
    if not seen.std > 0.0:
        return [(seen.mean, seen.mean, 1.0)]
    low, high = max(seen.min, seen.mean - 4.0 * seen.std), min(seen.max, seen.mean + 4.0 * seen.std)
    ends = [low + (high - low) * i / 256.0 for i in range(257)]
    below = [math.erf((end - seen.mean) / (seen.std * math.sqrt(2.0))) for end in ends]
    return [(a, b, q - p) for (a, b), (p, q) in zip(pairwise(ends), pairwise(below), strict=True)]
