"""Multiplication by mantissa and shift, against whole numbers of Python."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch

from qdiag.simulate.arithmetic.litert.fixed_point import (
    Multiplier,
    Scaled,
    once_rounded,
    rounded_up_twice,
    twice_rounded,
)

RNG = np.random.default_rng(0)
REALS = (*(10.0 ** RNG.uniform(-6, 1, 40)).tolist(), 0.5, 0.25, 1.0, 2.0**-8, 1.0 - 2.0**-33, 1.5)


def halves_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def halves_away(value: Fraction) -> int:
    return halves_up(value) if value >= 0 else -halves_up(-value)


def numbers(by: Multiplier) -> tuple[int, int]:
    return int(by.mantissa), int(by.shift)


def twice(total: int, by: Multiplier) -> int:
    mantissa, shift = numbers(by)
    high = halves_away_below(Fraction(total * 2 ** max(shift, 0) * mantissa, 1 << 31))
    return halves_away(Fraction(high, 2 ** max(-shift, 0)))


def halves_away_below(value: Fraction) -> int:
    """gemmlowp adds 1/2, or 1/2 less one part in 2^31 of negative numbers, and cuts off: -1/2 becomes 0."""
    return (
        math.floor(value + Fraction(1, 2)) if value >= 0 else math.ceil(value - Fraction(1, 2) + Fraction(1, 1 << 31))
    )


def up(total: int, by: Multiplier) -> int:
    mantissa, shift = numbers(by)
    high = halves_up(Fraction(total * 2 ** max(shift, 0) * mantissa, 1 << 31))
    return halves_up(Fraction(high, 2 ** max(-shift, 0)))


def once(total: int, by: Multiplier) -> int:
    mantissa, shift = numbers(by)
    return halves_up(Fraction(total * mantissa) / Fraction(2) ** (31 - shift))


@pytest.mark.parametrize(("ours", "wanted"), [(twice_rounded, twice), (rounded_up_twice, up), (once_rounded, once)])
def test_each_way_of_rounding(ours: Scaled, wanted: Callable[[int, Multiplier], int]) -> None:
    totals = [*RNG.integers(-(1 << 20), 1 << 20, 60).tolist(), *range(-9, 10)]
    for real in REALS:
        by = Multiplier.of(torch.tensor(real, dtype=torch.float64))
        found = ours(torch.tensor(totals), by).tolist()
        assert found == [wanted(total, by) for total in totals], real


def test_a_multiplier_is_the_nearest_of_31_bits() -> None:
    for real in REALS:
        mantissa, shift = numbers(Multiplier.of(torch.tensor(real, dtype=torch.float64)))
        assert 1 << 30 <= mantissa < 1 << 31
        assert abs(Fraction(mantissa) * Fraction(2) ** (shift - 31) - Fraction(real)) <= Fraction(2) ** (shift - 32)
    assert numbers(Multiplier.of(torch.tensor(2.0**-40))) == (0, 0)


@pytest.mark.parametrize("count", [1, 4, 49, 64, 100])
def test_a_multiplier_shared_by_a_count(count: int) -> None:
    whole = Multiplier.of(torch.tensor(0.7, dtype=torch.float64))
    mantissa, shift = numbers(whole.shared_by(count))
    exact = Fraction(int(whole.mantissa)) * Fraction(2) ** (int(whole.shift) - 31) / count
    found = Fraction(mantissa) * Fraction(2) ** (shift - 31)
    assert 0 <= exact - found < Fraction(2) ** (shift - 31)
