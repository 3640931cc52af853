"""What a few samples settle, and what they leave open: the same is decided as on all of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from qdiag.core.causes.ranking import Trial
from qdiag.core.causes.score import Recovery
from qdiag.core.measures.task import Interval
from qdiag.rank.bench import Attempt, Bench
from qdiag.rank.claim import is_claim
from qdiag.rank.race import worth_all_samples
from qdiag.rank.settled import is_ruled_out, settled
from qdiag.rank.suspects import Suspect
from qdiag.rank.trials import run_trials
from qdiag.rank.waterfall import build_waterfall, needed_steps
from qdiag.repairs.base import Repair
from qdiag.repairs.scheme.keep_float import KEEP_FLOAT
from qdiag.simulate.case import Case
from qdiag.simulate.task.scoring import recovery
from tests.unit.rank.shifted import GOOD, OTHER, SAMPLES, bench_of, shift, shifted_case, suspect, unshift

FAULT = {"1": [9.0, 0.0, 0.0, 0.0]}
"""All answers become class 0."""


@pytest.fixture(scope="module")
def faulty() -> Case:
    return shifted_case(FAULT)


def hurried(case: Case, suspects: list[Suspect], *repairs: Repair) -> Bench:
    return replace(bench_of(case, suspects, *repairs), is_exhaustive=False)


def attempts_of(bench: Bench) -> list[Attempt]:
    return [bench.apply(one, name, bench.case, one.sites) for one in bench.suspects for name in one.repairs]


def test_two_ways_to_the_same_network_are_measured_once(faulty: Case) -> None:
    one = suspect("1", GOOD, OTHER)
    bench = hurried(faulty, [one], unshift(GOOD), unshift(OTHER))
    ((_, (first, second)),) = run_trials(bench, [one])
    assert is_claim(first) and second.placebo is None
    assert second.no_placebo == f"on 32 of {SAMPLES} samples its outputs are those of another repair of these layers"
    assert second.recovery == first.recovery and second.after is first.after
    assert first.after is not None and first.after.task.sample_count == SAMPLES


@pytest.mark.parametrize("is_faulty", [False, True])
def test_repairs_of_layers_that_gain_nothing_in_float_stop_at_few_samples(faulty: Case, is_faulty: bool) -> None:
    one = suspect("1" if is_faulty else "3", "keep_float", GOOD)
    ((_, trials),) = run_trials(hurried(faulty, [one], KEEP_FLOAT, unshift(GOOD)), [one])
    repaired: Trial = trials[1]
    assert repaired.after is not None and repaired.after.task.sample_count == (SAMPLES if is_faulty else 32)
    words = f"measured on 32 of {SAMPLES} samples: float at these layers recovers nothing"
    assert (repaired.no_placebo == words) is not is_faulty and is_claim(repaired) is is_faulty


def test_of_two_that_leave_harm_the_one_with_much_more_noise_goes_unless_it_is_right_more_often(faulty: Case) -> None:
    """Both leave one answer for all samples, right as often."""
    one = suspect("1", GOOD, OTHER)
    for rest, is_out in ((8.0, True), (5.1, False)):
        bench = hurried(faulty, [one], shift(GOOD, by=5.0), shift(OTHER, by=rest))
        left = worth_all_samples(bench, attempts_of(bench), faulty, "step 2")
        assert [attempt.repair for attempt in left] == ([GOOD] if is_out else [GOOD, OTHER])


def test_as_few_samples_as_settle_a_gain_and_most_of_them_where_there_is_none_to_see(faulty: Case) -> None:
    bench = hurried(faulty, [], unshift())
    better, worse = shifted_case({}), shifted_case({"1": [0.0, 0.0, 0.0, 90.0]})
    cases = [replace(case, origin=faulty.origin, measured=faulty.measured) for case in (better, worse)]
    rows = settled(bench, [(faulty, cases[0]), (faulty, cases[1]), (faulty, faulty)], "x")
    assert [after.score.task.sample_count for _, after in rows] == [32, 32, 256]
    assert [recovery(before=before, after=after).is_gain for before, after in rows] == [True, False, False]
    exhaustive = settled(replace(bench, is_exhaustive=True), [(faulty, cases[0])], "x")
    assert [after.score.task.sample_count for _, after in exhaustive] == [SAMPLES]


@pytest.mark.parametrize("share", [0.064, 0.256, 0.64])
def test_what_a_part_rules_out_is_no_gain_on_all_samples(share: float) -> None:
    """Differences of 500 samples around what just is a gain: hardly ever is one that a part of them ruled out."""
    draw, count = np.random.default_rng(0), 500
    out = wrong = 0
    for mean_shift in np.linspace(-0.2, 0.3, 2000):
        drawn = draw.normal(mean_shift, 1.0, count)
        gained = [
            Recovery(3.0, Interval(2.0, 4.0), mean, Interval(mean - half, mean + half))
            for part in (drawn[: round(share * count)], drawn)
            for mean, half in [(float(part.mean()), 1.96 * float(part.std(ddof=1)) / math.sqrt(part.size))]
        ]
        is_out = is_ruled_out(gained[0], share)
        out, wrong = out + is_out, wrong + (is_out and gained[1].is_gain)
    assert out > 40 and wrong <= 0.005 * out


def test_which_steps_are_needed_is_decided_alike() -> None:
    case = shifted_case({"0": [0.0, 0.0, 0.4, 0.0], "3": [1.5, 0.0, 0.0, 0.0]})
    suspects = [suspect("0", GOOD), suspect("3", GOOD, code="QD101")]
    found = []
    for is_exhaustive in (True, False):
        bench = replace(bench_of(case, suspects, unshift()), is_exhaustive=is_exhaustive)
        steps = build_waterfall(bench, run_trials(bench, suspects))
        found.append(([step.suspect.code for step in steps], needed_steps(bench, steps)))
    assert found[0] == found[1] == (["QD101", "QD104"], [True, True])
