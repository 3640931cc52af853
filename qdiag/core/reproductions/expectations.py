"""What a source lets expect, and whether it came out: decided by the differences between paired seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from qdiag.core.reproductions.seeds import Place, SeedResult

Kind = Literal["more", "less", "close"]
Outcome = Literal["holds", "fails", "undecided"]

_T_95 = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833)
"""Quantiles of Student's t for a one-sided 95 % bound, by degrees of freedom from 1 on."""
_Z_95 = 1.645


@dataclass(frozen=True, slots=True)
class Expectation:
    """A difference of two figures, and what it should be.

    Attributes:
        kind: `more`: left less right is above the bound; `less`: it is below; `close`: its size is at most the bound.
        right: None compares left with the bound itself.
        bound: in the unit of the column.
    """

    key: str
    kind: Kind
    left: Place
    right: Place | None
    bound: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something did not come out, as far as the results tell: a key, and the figures that speak for it."""

    key: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """An expectation beside what was measured.

    Attributes:
        differences: one for each seed in which both figures are known.
        margin: half of the two-sided 90 % interval of their mean; infinite with fewer than two.
        reasons: of one that does not hold; empty where none is known.
    """

    expectation: Expectation
    differences: tuple[float, ...]
    margin: float
    outcome: Outcome
    reasons: tuple[Reason, ...] = ()

    @property
    def mean(self) -> float:
        return mean_of(self.differences)


def judge(expectation: Expectation, seeds: Sequence[SeedResult]) -> Judged:
    """Whether the mean difference lies beyond the bound with 95 % confidence; `undecided` where it does not either way.

    Paired differences of the seeds are taken, so that what makes one seed easier than another does not count. Where
    they are all equal the mean decides alone. With one seed nothing is decided.
    """
    differences = []
    for seed in seeds:
        left = seed.value(expectation.left)
        right = seed.value(expectation.right) if expectation.right is not None else 0.0
        if left is not None and right is not None and math.isfinite(left - right):
            differences.append(left - right)
    margin = margin_of(differences)
    return Judged(expectation, tuple(differences), margin, _outcome(expectation, mean_of(differences), margin))


def mean_of(values: Sequence[float]) -> float:
    """NaN of none."""
    return math.fsum(values) / len(values) if values else math.nan


def spread_of(values: Sequence[float]) -> float:
    """Standard deviation of the sample (n - 1); NaN with fewer than two."""
    if len(values) < 2:
        return math.nan
    mean = mean_of(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def margin_of(values: Sequence[float]) -> float:
    """Half of the two-sided 90 % interval of the mean by Student's t; infinite with fewer than two values."""
    freedom = len(values) - 1
    if freedom < 1:
        return math.inf
    t = _T_95[freedom - 1] if freedom <= len(_T_95) else _Z_95 + 1.7 / freedom
    return t * spread_of(values) / math.sqrt(len(values))


def _outcome(expectation: Expectation, mean: float, margin: float) -> Outcome:
    if math.isnan(mean):
        return "undecided"
    low, high, bound = mean - margin, mean + margin, expectation.bound
    if expectation.kind == "more":
        return "holds" if low > bound else "fails" if high < bound else "undecided"
    if expectation.kind == "less":
        return "holds" if high < bound else "fails" if low > bound else "undecided"
    if -bound <= low and high <= bound:
        return "holds"
    return "fails" if low > bound or high < -bound else "undecided"
