"""Levels of a floating-point format that has too many of them to list: found from their number, by arithmetic."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_OCTAVES = 24
"""Below the largest value; what lies nearer to zero has no share in any noise that counts."""


@dataclass(frozen=True, slots=True)
class FloatSteps:
    """Numbers from `-largest` to `largest`; between 2^e and 2^(e + 1) there are `2^mantissa_bits` even steps.

    Attributes:
        smallest_step: the smallest number above zero, and the step up to twice the smallest normal number.
    """

    mantissa_bits: int
    smallest_step: float
    largest: float

    @property
    def count(self) -> int:
        """Of all levels."""
        return 2 * self._index(self.largest) + 1

    def cell(self, value: float) -> int:
        """Place among all levels, from 0, of the one that a value rounds to."""
        index = self._index(min(abs(value), self.largest))
        return self._index(self.largest) + (index if value > 0.0 else -index)

    def level(self, cell: int) -> float:
        """The level at a place."""
        index = cell - self._index(self.largest)
        octave, mantissa = divmod(abs(index), 1 << self.mantissa_bits)
        hidden = (1 << self.mantissa_bits) if octave else 0
        return math.copysign(math.ldexp((hidden + mantissa) * self.smallest_step, max(octave - 1, 0)), index)

    def step(self, value: float) -> float:
        """The distance between the levels around a value."""
        index = self._index(min(abs(value), self.largest))
        return math.ldexp(self.smallest_step, max((index >> self.mantissa_bits) - 1, 0))

    def noise_share(self, bins: Sequence[tuple[float, float, float]]) -> float:
        """Mean squared rounding error over mean square, of values spread evenly inside bins (low, high, weight); NaN
        for zeros. Steps are taken as small beside a bin, so that each makes noise of a twelfth of its square."""
        noise = power = 0.0
        where = self._borders(max((max(abs(low), abs(high)) for low, high, _ in bins), default=0.0))
        for low, high, weight in bins:
            borders = [low, *where[bisect_right(where, low) : bisect_left(where, high)], high]
            for a, b in pairwise(borders):
                share = weight * (b - a) / (high - low) if high > low else weight
                if max(abs(a), abs(b)) <= self.largest:  # what is clipped is not rounded
                    noise += share * self.step((a + b) / 2.0) ** 2 / 12.0
                power += share * (a * a + a * b + b * b) / 3.0
        return noise / power if power > 0.0 else math.nan

    def _borders(self, top: float) -> list[float]:
        """Where the step changes up to `top`, and the end of the range, on both sides of zero; ascending."""
        first = math.ldexp(self.smallest_step, self.mantissa_bits)
        highest = math.frexp(min(top, self.largest) / first)[1]
        above = [math.ldexp(first, k) for k in range(max(0, highest - _OCTAVES), highest)]
        return [-self.largest, *(-border for border in reversed(above)), *above, self.largest]

    def _index(self, magnitude: float) -> int:
        """Number, counted from zero, of the level that is nearest to a magnitude within the range."""
        steps = magnitude / self.smallest_step
        octave = max(math.frexp(steps)[1] - 1 - self.mantissa_bits, 0)
        return (octave << self.mantissa_bits) + round(math.ldexp(steps, -octave))
