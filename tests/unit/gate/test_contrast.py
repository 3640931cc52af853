"""Intervals and sample sizes, against closed forms and against simulation."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qdiag.core.measures.counts import wilson_interval
from qdiag.core.measures.outcomes import SampleOutcomes, pack_bits, pack_numbers
from qdiag.core.measures.task import Z_95, PairedCounts
from qdiag.gate.contrast import (
    Contrast,
    drop_change_contrast,
    drop_contrast,
    flips_change_contrast,
    relative_contrast,
    relative_drop_interval,
    samples_to_settle,
)
from qdiag.gate.share import share_samples_to_settle

cells = st.integers(0, 400)
tables = st.builds(PairedCounts, cells, cells, cells, cells).filter(lambda counts: counts.sample_count > 0)


def draw(generator: np.random.Generator, count: int, lost: float, won: float, both: float) -> PairedCounts:
    """Counts of both, reference only, simulated only, and neither."""
    neither = max(0.0, 1.0 - lost - won - both)
    return PairedCounts(*(int(cell) for cell in generator.multinomial(count, [both, lost, won, neither])))


@given(tables)
def test_the_interval_of_the_drop_is_the_one_that_the_tables_print(counts: PairedCounts) -> None:
    interval, printed = drop_contrast(counts).interval, counts.drop_interval_pp
    assert 100.0 * max(-1.0, interval.low) == pytest.approx(printed.low, abs=1e-9)
    assert 100.0 * min(1.0, interval.high) == pytest.approx(printed.high, abs=1e-9)


@given(tables)
def test_the_interval_of_a_relative_drop_ends_where_its_contrast_turns(counts: PairedCounts) -> None:
    bounds = relative_drop_interval(counts)
    assume(math.isfinite(bounds.low))
    for bound in (bounds.low, bounds.high):
        contrast = relative_contrast(counts, bound / 100.0)
        assert abs(contrast.mean) == pytest.approx(Z_95 * contrast.standard_error, rel=1e-6, abs=1e-9)
    inside = relative_contrast(counts, (bounds.low + bounds.high) / 200.0).interval
    assert inside.low <= 1e-9
    assert inside.high >= -1e-9


def test_a_float_network_that_is_never_right_bounds_nothing() -> None:
    assert relative_drop_interval(PairedCounts(0, 0, 3, 97)).low == -math.inf


@pytest.mark.parametrize(("lost", "won", "both"), [(0.02, 0.01, 0.7), (0.10, 0.02, 0.6), (0.005, 0.004, 0.9)])
def test_intervals_cover_the_truth_as_often_as_they_say(lost: float, won: float, both: float) -> None:
    generator, runs = np.random.default_rng(0), 2000
    true_drop, true_relative = 100 * (lost - won), 100 * (lost - won) / (lost + both)
    hits_drop = hits_relative = 0
    for _ in range(runs):
        counts = draw(generator, 500, lost, won, both)
        drop, relative = counts.drop_interval_pp, relative_drop_interval(counts)
        hits_drop += drop.low <= true_drop <= drop.high
        hits_relative += relative.low <= true_relative <= relative.high
    assert hits_drop / runs > 0.92
    assert hits_relative / runs > 0.92


def settles(contrast: Contrast, limit: float) -> bool:
    interval = contrast.interval
    return interval.low > limit or interval.high <= limit


@pytest.mark.parametrize(
    ("counts", "limit"),
    [
        (PairedCounts(370, 12, 8, 110), 0.01),  # drop 0.8 pp under a limit of 1
        (PairedCounts(90, 5, 2, 3), 0.01),  # 3 pp on a hundred samples
        (PairedCounts(200, 0, 0, 0), 0.005),  # no disagreement seen, and yet too few
    ],
)
def test_as_many_samples_as_it_says_settle_the_drop_four_times_out_of_five(counts: PairedCounts, limit: float) -> None:
    assert not settles(drop_contrast(counts), limit)
    more = samples_to_settle(drop_contrast(counts), limit)
    assert more is not None
    generator, runs, n = np.random.default_rng(1), 2000, counts.sample_count
    lost, won, both = (counts.reference_only / n, counts.simulated_only / n, counts.both / n)
    settled = sum(settles(drop_contrast(draw(generator, n + more, lost, won, both)), limit) for _ in range(runs))
    assert settled / runs > 0.72
    if lost:
        assert settled / runs < 0.9
        variance = lost + won - (lost - won) ** 2
        closed = (2.8015852 / (lost - won - limit)) ** 2 * variance
        assert n + more == pytest.approx(closed, rel=0.15)


def test_as_many_samples_as_it_says_settle_the_relative_drop() -> None:
    counts, relative = PairedCounts(300, 14, 6, 180), 0.01
    assert not settles(relative_contrast(counts, relative), 0.0)
    more = samples_to_settle(relative_contrast(counts, relative), 0.0)
    assert more is not None
    generator, runs = np.random.default_rng(2), 2000
    rates = [cell / 500 for cell in (14, 6, 300)]
    settled = sum(settles(relative_contrast(draw(generator, 500 + more, *rates), relative), 0.0) for _ in range(runs))
    assert 0.7 < settled / runs < 0.9


@pytest.mark.parametrize(("hits", "count", "limit"), [(75, 100, 70.0), (3, 200, 3.0), (0, 40, 2.0), (380, 500, 75.0)])
def test_as_many_samples_as_it_says_settle_a_share(hits: int, count: int, limit: float) -> None:
    more = share_samples_to_settle(hits, count, limit)
    assert more is not None
    generator, runs, settled = np.random.default_rng(3), 2000, 0
    for _ in range(runs):
        seen = int(generator.binomial(count + more, hits / count))
        interval = wilson_interval(seen, count + more)
        settled += not interval.low <= limit <= interval.high
    assert settled / runs > 0.72


def test_a_figure_on_its_limit_is_never_settled() -> None:
    assert samples_to_settle(drop_contrast(PairedCounts(470, 15, 10, 5)), 0.01) is None
    assert share_samples_to_settle(7, 10, 70.0) is None


@given(st.integers(1, 2000), st.data())
def test_the_interval_of_a_share_is_one_inside_zero_and_hundred(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    interval = wilson_interval(hits, count)
    assert 0.0 <= interval.low <= 100.0 * hits / count + 1e-9
    assert 100.0 * hits / count - 1e-9 <= interval.high <= 100.0


bits = st.lists(st.tuples(*[st.booleans()] * 4), min_size=1, max_size=60)


@given(bits)
def test_a_change_of_the_drop_is_counted_sample_by_sample(samples: list[tuple[bool, bool, bool, bool]]) -> None:
    f1, s1, f0, s0 = ([row[i] for row in samples] for i in range(4))
    now = SampleOutcomes(len(samples), pack_bits(f1), pack_bits(s1))
    before = SampleOutcomes(len(samples), pack_bits(f0), pack_bits(s0))
    contrast = drop_change_contrast(now, before)
    assert contrast is not None
    each = [(a - b) - (c - d) for a, b, c, d in zip(f1, s1, f0, s0, strict=True)] + [1, -1]
    mean = sum(each) / len(each)
    assert contrast.mean == pytest.approx(mean, abs=1e-12)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in each)) / len(each)
    assert contrast.standard_error == pytest.approx(deviation, abs=1e-9)
    flips = flips_change_contrast(now, before)
    assert flips is not None
    assert flips.mean == pytest.approx((sum(s0) - sum(s1)) / (len(samples) + 2), abs=1e-12)


def test_outcomes_of_other_samples_cannot_be_paired() -> None:
    one, two = SampleOutcomes(1, "", pack_bits([True])), SampleOutcomes(2, "", pack_bits([True, False]))
    assert drop_change_contrast(one, two) is None
    assert flips_change_contrast(one, two) is None
    assert drop_change_contrast(one, one) is None  # no labels
    numbers = SampleOutcomes(1, pack_numbers([0.5]), pack_numbers([0.25]), are_bits=False)
    assert drop_change_contrast(numbers, numbers) is None
    assert flips_change_contrast(numbers, numbers) is None
