"""How sure the change of a figure is, from one run to another on the same samples or on others."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from qdiag.core.measures.counts import counts_figure
from qdiag.core.measures.outcomes import SampleOutcomes, unpack_numbers
from qdiag.core.measures.task import UNDEFINED, Z_95, Figure, Interval, PairedCounts

FLOAT32 = 1e-5
"""Room for means of numbers that were stored in float32."""


def change_interval(now: float, now_interval: Interval, before: float, before_interval: Interval) -> Interval:
    """95 % interval of now minus before from those of both, taken as independent, where samples cannot be paired.

    Errors that both share cancel in truth, so this interval is rather too wide than too narrow. NaN where one of the
    two is not defined. Source: Zou & Donner, Statistics in Medicine 27, 2008 (MOVER).
    """
    change = now - before
    below = math.hypot(now - now_interval.low, before_interval.high - before)
    above = math.hypot(now_interval.high - now, before - before_interval.low)
    low, high = change - below, change + above
    return UNDEFINED if math.isnan(low) or math.isnan(high) else Interval(low, high)


def mean_interval(values: Iterable[float]) -> Interval:
    """95 % interval of a mean, from the spread of its values (central limit theorem); NaN for fewer than two."""
    numbers = list(values)
    n = len(numbers)
    if n < 2 or not all(map(math.isfinite, numbers)):
        return UNDEFINED
    mean = math.fsum(numbers) / n
    margin = Z_95 * math.sqrt(math.fsum((x - mean) ** 2 for x in numbers) / (n - 1) / n)
    return Interval(mean - margin, mean + margin)


def numbers_of(outcomes: SampleOutcomes | None) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """One number per sample of the float and of the quantized network; None where there are none, or damaged ones."""
    if outcomes is None or outcomes.are_bits:
        return None
    reference = unpack_numbers(outcomes.reference, outcomes.count)
    simulated = unpack_numbers(outcomes.simulated, outcomes.count)
    return None if reference is None or simulated is None else (reference, simulated)


def held_against(before: Figure, after: Figure) -> Figure:
    """The quantized network of one run against the float network of another, on the same samples.

    Where outcomes of the samples were kept the interval is of pairs; otherwise there is none. A figure that is against
    the float network by definition stays as it is.
    """
    if after.criterion.is_against_float or (before.reference == after.reference and before.outcomes is None):
        return after
    one, other = before.outcomes, after.outcomes
    new = replace(after, reference=before.reference, loss_interval=UNDEFINED, counts=None, outcomes=None)
    if one is None or other is None or one.count != other.count or one.are_bits != other.are_bits:
        return new
    if one.are_bits:
        counts = PairedCounts.of_bits(reference=one.reference, simulated=other.simulated, count=one.count)
        return counts_figure(after.criterion, counts) if counts is not None else new
    numbers = numbers_of(replace(other, reference=one.reference))
    if numbers is None:
        return new
    sign = 1.0 if after.criterion.higher_is_better else -1.0
    return replace(new, loss_interval=mean_interval(sign * (r - s) for r, s in zip(*numbers, strict=True)))


def is_mean_of(numbers: Sequence[float], value: float) -> bool:
    """Whether finite numbers, stored in float32, have this mean."""
    if not numbers or not all(map(math.isfinite, (*numbers, value))):
        return False
    return abs(math.fsum(numbers) / len(numbers) - value) <= FLOAT32 * max(map(abs, numbers))


def same_criterion(one: Figure | None, other: Figure | None) -> bool:
    """Both are there, and of one name, unit and direction: their values mean the same."""
    if one is None or other is None:
        return one is other
    return _meaning(one) == _meaning(other)


def _meaning(figure: Figure) -> tuple[object, ...]:
    c = figure.criterion
    return c.name, c.unit, c.change_unit, c.higher_is_better, c.is_against_float
