"""Whether something came out: means, intervals by Student's t, and verdicts."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdiag.core.reproductions.expectations import Expectation, judge, margin_of, mean_of, spread_of
from qdiag.core.reproductions.seeds import Measured, Place, SeedResult

LEFT, RIGHT = Place("a", "top1"), Place("b", "top1")
NUMBERS = st.lists(st.floats(-100.0, 100.0), min_size=2, max_size=20)


def seeds(left: list[float], right: list[float]) -> list[SeedResult]:
    pairs = enumerate(zip(left, right, strict=True))
    return [SeedResult(i, (Measured(LEFT, a), Measured(RIGHT, b))) for i, (a, b) in pairs]


@given(NUMBERS)
def test_mean_and_spread_are_those_of_statistics(values: list[float]) -> None:
    assert mean_of(values) == pytest.approx(statistics.fmean(values), abs=1e-9)
    assert spread_of(values) == pytest.approx(statistics.stdev(values), abs=1e-9)


@pytest.mark.parametrize(
    ("values", "margin"),
    [
        # 95 % quantiles of t with 1, 2, 4 and 9 degrees of freedom: 6.3138, 2.9200, 2.1318, 1.8331 (any table of t)
        ((0.0, 2.0), 6.3138 * math.sqrt(2.0) / math.sqrt(2.0)),
        ((1.0, 2.0, 3.0), 2.9200 / math.sqrt(3.0)),
        ((1.0, 2.0, 3.0, 4.0, 5.0), 2.1318 * math.sqrt(2.5) / math.sqrt(5.0)),
        ((0.0, 1.0) * 5, 1.8331 * math.sqrt(10.0 / 36.0) / math.sqrt(10.0)),
    ],
)
def test_the_margin_is_that_of_students_t(values: tuple[float, ...], margin: float) -> None:
    assert margin_of(values) == pytest.approx(margin, rel=1e-3)


@pytest.mark.parametrize(("freedom", "quantile"), [(10, 1.812), (15, 1.753), (30, 1.697), (120, 1.658)])
def test_the_margin_of_many_seeds_is_close_to_that_of_students_t(freedom: int, quantile: float) -> None:
    values = [float(i % 2) for i in range(freedom + 1)]
    own = margin_of(values) / (statistics.stdev(values) / math.sqrt(len(values)))
    assert own == pytest.approx(quantile, rel=4e-3)


def test_a_single_seed_decides_nothing() -> None:
    found = judge(Expectation("x", "more", LEFT, RIGHT, 0.0), seeds([90.0], [10.0]))
    assert (found.outcome, found.mean, found.margin) == ("undecided", 80.0, math.inf)
    assert judge(Expectation("x", "more", LEFT, None, 0.0), []).outcome == "undecided"


@pytest.mark.parametrize(
    ("kind", "bound", "outcome"),
    [
        ("more", 1.0, "holds"),
        ("more", 4.5, "undecided"),
        ("more", 8.0, "fails"),
        ("less", 8.0, "holds"),
        ("less", 4.5, "undecided"),
        ("less", 1.0, "fails"),
        ("close", 8.0, "holds"),
        ("close", 4.5, "undecided"),
        ("close", 1.0, "fails"),
    ],
)
def test_the_interval_of_paired_differences_decides(kind: str, bound: float, outcome: str) -> None:
    """Differences 4, 5 and 6 have the interval 3.3 to 6.7, whatever the seeds themselves give."""
    found = judge(
        Expectation("x", kind, LEFT, RIGHT, bound),  # type: ignore[arg-type]
        seeds([14.0, 55.0, 96.0], [10.0, 50.0, 90.0]),
    )
    assert found.differences == (4.0, 5.0, 6.0)
    assert found.outcome == outcome


def test_equal_differences_are_decided_by_their_mean() -> None:
    found = judge(Expectation("x", "more", LEFT, None, 90.0), seeds([92.4, 92.4], [0.0, 0.0]))
    assert (found.outcome, found.margin) == ("holds", 0.0)


def test_seeds_without_both_figures_do_not_count() -> None:
    half = [*seeds([5.0, 6.0], [1.0, 1.0]), SeedResult(2, (Measured(LEFT, 100.0),))]
    broken = [*half, SeedResult(3, (Measured(LEFT, math.nan), Measured(RIGHT, 1.0)))]
    assert judge(Expectation("x", "more", LEFT, RIGHT, 0.0), broken).differences == (4.0, 5.0)
