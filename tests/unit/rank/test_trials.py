"""Repairs tried alone, beside their placebos; what is refused, and why."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.ranking import Trial
from qdiag.errors import RepairRefused, SimulationError
from qdiag.rank.bench import Bench
from qdiag.rank.claim import is_claim, order_trials
from qdiag.rank.trials import run_trials
from qdiag.rank.waterfall import build_waterfall
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.simulate import session as session_module
from qdiag.simulate.case import Case
from qdiag.simulate.changes import without_quantizers
from tests.cases import assert_untouched, snapshot
from tests.unit.rank.shifted import (
    GOOD,
    HARMFUL,
    OTHER,
    SAMPLES,
    bench_of,
    everywhere,
    failing,
    only_at,
    reweigh,
    shift,
    shifted_case,
    suspect,
    unshift,
)

FAULT = {"1": [9.0, 0.0, 0.0, 0.0]}
"""All answers become class 0."""


@pytest.fixture(scope="module")
def faulty() -> Case:
    return shifted_case(FAULT)


def trials_of(case: Case, *repairs: Repair) -> list[Trial]:
    tried = suspect("1", *(repair.name for repair in repairs))
    ((_, trials),) = run_trials(bench_of(case, [tried], *repairs), [tried])
    return trials


def test_a_good_repair_gives_all_back_and_its_placebo_nothing(faulty: Case) -> None:
    before = snapshot(faulty)
    (trial,) = trials_of(faulty, unshift())
    assert trial.after is not None and trial.after.task_value > 99.0
    assert trial.recovery is not None and trial.recovery.recovered_task > 50.0
    assert trial.layers == ("1",) and trial.settings == (f"{GOOD}=true",) and trial.refused is None
    assert trial.placebo is not None and trial.float_cost is None
    assert [site.layer for site in trial.placebo.sites] == ["3"], "0 and 2 are its neighbours"
    assert trial.placebo.recovery.recovered_task == trial.placebo.recovery.recovered_db == 0.0
    assert trial.placebo.over_placebo.recovered_task == trial.recovery.recovered_task
    assert is_claim(trial)
    assert_untouched(faulty, before)


def test_a_harmful_repair_is_measured_and_needs_no_placebo(faulty: Case) -> None:
    (trial,) = trials_of(faulty, shift())
    assert trial.recovery is not None and trial.recovery.recovered_db < -10.0
    assert trial.placebo is None and trial.no_placebo is None and not is_claim(trial)


def test_a_repair_that_works_anywhere_is_not_claimed(faulty: Case) -> None:
    (trial,) = trials_of(faulty, everywhere(tells=False))
    assert trial.recovery is not None and trial.recovery.recovered_task > 50.0
    assert trial.placebo is not None and trial.placebo.over_placebo.recovered_task == 0.0
    assert not is_claim(trial)


def test_why_there_is_no_placebo(faulty: Case) -> None:
    (trial,) = trials_of(faulty, everywhere(tells=True))
    assert trial.placebo is None and trial.no_placebo == "no other place of the kind is left"
    (trial,) = trials_of(faulty, only_at(unshift(), "1"))
    assert trial.placebo is None and trial.no_placebo == "refused elsewhere: there is nothing to repair"
    wide = Repair(GOOD, lambda case, sites, context: _also(unshift().apply(case, sites, context)))
    (trial,) = trials_of(faulty, wide)
    assert trial.placebo is None and trial.no_placebo == "elsewhere it changes these layers too"


def _also(treatment: Treatment) -> Treatment:
    return replace(treatment, layers=(*treatment.layers, "0"))


def test_refusals_and_failures_are_rows_and_the_others_go_on(faulty: Case) -> None:
    repairs = [
        failing("equalize", RepairRefused("no pair of layers here")),
        failing("correct_bias", SimulationError("sums failed", at="1")),
        failing("fold_batchnorm", IndexError("list index out of range\nand a second line")),
        failing("clip_weights", MemoryError()),
        unshift(),
    ]
    *refused, good = trials_of(faulty, *repairs)
    assert [trial.refused for trial in refused] == [
        "no pair of layers here",
        "it failed: 1: sums failed",
        "it failed: list index out of range (IndexError)",
        "it failed: MemoryError",
    ]
    assert all(trial.after is None and trial.recovery is None for trial in refused)
    assert good.recovery is not None and good.recovery.recovered_task > 50.0


def test_an_unexpected_error_ends_the_run_for_whoever_looks_for_it(faulty: Case) -> None:
    tried = suspect("1", "equalize")
    bench = bench_of(faulty, [tried], failing("equalize", IndexError("list index")), raises=True)
    with pytest.raises(IndexError, match="list index"):
        run_trials(bench, [tried])
    bench = bench_of(faulty, [tried], failing("equalize", RepairRefused("no")), raises=True)
    ((_, (trial,)),) = run_trials(bench, [tried])
    assert trial.refused == "no"


def test_a_repair_of_a_newer_version_is_refused(faulty: Case) -> None:
    tried = suspect("1", "equalize")
    ((_, (trial,)),) = run_trials(bench_of(faulty, [tried]), [tried])
    assert trial.refused == "this version has no such repair"


def test_a_repair_that_spoils_the_float_network_is_refused_with_its_cost(faulty: Case) -> None:
    spoils, keeps = trials_of(faulty, reweigh("equalize", -1.0), reweigh("replace_relu6", 2.0))
    assert spoils.recovery is None and spoils.after is None
    assert spoils.refused is not None and spoils.refused.startswith("it costs the float network ")
    assert spoils.float_cost is not None and spoils.float_cost.loss > 50.0
    assert keeps.refused is None and keeps.recovery is not None and keeps.recovery.recovered_task > 50.0
    assert keeps.float_cost is not None
    assert keeps.float_cost.loss == 0.0 and keeps.float_cost.relative_delta == pytest.approx(1.0, rel=0.1)


def test_without_labels_agreement_takes_the_place_of_accuracy() -> None:
    (trial,) = trials_of(shifted_case(FAULT, is_labelled=False), unshift())
    assert trial.after is not None and trial.after.task.accuracy is None and trial.after.task_value > 99.0
    assert is_claim(trial)


def test_nothing_is_applied_or_measured_twice(faulty: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two suspects at the same place, and the first step of the sequence, which tries what was tried alone."""
    applied: list[str] = []
    measured: list[Case] = []
    original = session_module.score_cases

    def counted(repair: Repair) -> Repair:
        return Repair(repair.name, lambda *args: (applied.append(repair.name), repair.apply(*args))[1])

    def count(cases, *args, **kwargs):  # type: ignore[no-untyped-def]
        measured.extend(cases)
        return original(cases, *args, **kwargs)

    monkeypatch.setattr(session_module, "score_cases", count)
    suspects = [suspect("1", GOOD, OTHER), suspect("1", GOOD, code="QD101")]
    repairs = [counted(only_at(unshift(), "1")), counted(only_at(shift(OTHER), "1"))]
    bench: Bench = bench_of(faulty, suspects, *repairs)
    found = run_trials(bench, suspects)
    # the placebo of each suspect is refused, and asked for once
    assert applied == [GOOD, OTHER, GOOD]
    assert len(measured) == len({id(case) for case in measured}) == 3, "as it is, and two repairs"
    assert found[0][1][0].recovery == found[1][1][0].recovery
    (step,) = build_waterfall(bench, found)
    assert step.gained == found[0][1][0].recovery
    # on top of the first step, the other suspect's repair is applied to what it left
    assert applied == [GOOD, OTHER, GOOD, GOOD] and len(measured) == 4


def test_what_spoils_the_float_network_is_known_before_it_is_applied(faulty: Case) -> None:
    spoiling, applied = reweigh(OTHER, -1.0), list[str]()

    def apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
        applied.append(OTHER)
        return spoiling.apply(case, sites, context)

    def in_float(case: Case, sites: Sequence[FindingSite]) -> tuple[Case, tuple[str, ...]]:
        return without_quantizers(spoiling.apply(case, sites, RepairContext()).case), ("3",)

    one = suspect("1", OTHER)
    rows = []
    for is_exhaustive in (False, True):
        bench = replace(bench_of(faulty, [one], Repair(OTHER, apply, in_float=in_float)), is_exhaustive=is_exhaustive)
        ((_, (trial,)),) = run_trials(bench, [one])
        rows.append(trial)
        assert applied == ([OTHER] if is_exhaustive else [])
    assert rows[0] == rows[1] and rows[0].layers == ("3",) and rows[0].refused is not None


def test_a_few_samples_rule_out_what_makes_the_output_worse_and_what_a_rival_beats(faulty: Case) -> None:
    one = suspect("1", GOOD, OTHER, HARMFUL)
    half = Repair(OTHER, shift(OTHER, by=4.0).apply)
    trials = {}
    for is_exhaustive in (False, True):
        bench = replace(bench_of(faulty, [one], unshift(), half, shift()), is_exhaustive=is_exhaustive)
        ((_, found),) = run_trials(bench, [one])
        trials[is_exhaustive] = {trial.repair: trial for trial in found}
    some, whole = trials[False], trials[True]
    counts = {name: trial.after.task.sample_count for name, trial in some.items() if trial.after is not None}
    assert counts[GOOD] == SAMPLES and counts[HARMFUL] < SAMPLES and counts[OTHER] < SAMPLES
    assert replace(some[GOOD], placebo=None) == replace(whole[GOOD], placebo=None) and is_claim(some[GOOD])
    beside = [found[GOOD].placebo for found in (some, whole)]
    assert [one.sample_count for one in beside if one is not None] == [32, None]
    assert some[HARMFUL].no_placebo == f"{counts[HARMFUL]} of {SAMPLES} samples ruled it out"
    assert {trial.after.task.sample_count for trial in whole.values() if trial.after is not None} == {SAMPLES}
    assert order_trials(list(some.values()))[0].repair == GOOD


def test_without_a_proof_what_a_rival_beat_is_measured_on_all_samples(faulty: Case) -> None:
    one = suspect("1", GOOD, OTHER)
    bench = replace(bench_of(faulty, [one], everywhere(GOOD, tells=False), shift(OTHER, by=4.0)), is_exhaustive=False)
    ((_, found),) = run_trials(bench, [one])
    assert not any(map(is_claim, found)), "the placebo recovers as much"
    assert {trial.after.task.sample_count for trial in found if trial.after is not None} == {SAMPLES}
