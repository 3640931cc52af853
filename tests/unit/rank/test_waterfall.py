"""Repairs on top of one another, and which of them the sequence needs; changes of scheme beside it."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from qdiag.core.causes.findings import Finding
from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.ranking import Ranking
from qdiag.rank.claim import order_trials
from qdiag.rank.rank import rank_causes
from qdiag.rank.suspects import Suspect
from qdiag.rank.trials import run_trials
from qdiag.rank.waterfall import Step, build_waterfall, needed_steps
from qdiag.reading.words.causes import commands, headline
from qdiag.repairs.base import Repair, RepairContext
from qdiag.repairs.scheme.keep_float import KEEP_FLOAT
from qdiag.simulate.case import Case
from tests.cases import assert_untouched, open_test_case, snapshot
from tests.unit.rank.shifted import (
    GOOD,
    HARMFUL,
    OTHER,
    bench_of,
    everywhere,
    finding,
    reweigh,
    shift,
    shifted_case,
    suspect,
    unshift,
)

HIDDEN = {"0": [0.0, 40.0, 0.0, 0.0], "3": [0.0, 0.0, 0.0, 20.0]}
"""With both all answers are class 1, with the second alone all are class 3: about as many are right by chance."""


def sequence(case: Case, suspects: list[Suspect], *repairs: Repair) -> tuple[list[Step], list[bool]]:
    bench = bench_of(case, suspects, *repairs)
    tried = [(found, order_trials(trials)) for found, trials in run_trials(bench, suspects)]
    steps = build_waterfall(bench, tried)
    return steps, needed_steps(bench, steps)


def ranked(case: Case, findings: list[Finding], *repairs: Repair) -> Ranking:
    return rank_causes(case, findings, {r.name: r for r in repairs}, RepairContext())


def test_the_repair_that_gives_most_comes_first() -> None:
    case = shifted_case({"0": [0.0, 0.0, 0.4, 0.0], "3": [1.5, 0.0, 0.0, 0.0]})
    before = snapshot(case)
    small, large = suspect("0", GOOD), suspect("3", GOOD, code="QD101")
    steps, needed = sequence(case, [small, large], unshift())
    assert [step.suspect for step in steps] == [large, small]
    assert steps[0].gained.recovered_task > steps[1].gained.recovered_task > 3.0
    assert steps[-1].after.score.task_value > 99.0 and steps[-1].after.score.output_sqnr_db > 30.0
    assert needed == [True, True]
    record = steps[0].record()
    assert (record.code, record.repair, record.layers) == ("QD101", GOOD, ("3",))
    assert record.settings == (f"{GOOD}=true",)
    assert_untouched(case, before)


def test_two_faults_that_hide_each_other() -> None:
    """Neither repair recovers accuracy alone: less noise lets the sequence go on to where both together do."""
    case = shifted_case(HIDDEN)
    steps, needed = sequence(case, [suspect("0", GOOD), suspect("3", GOOD, code="QD101")], unshift())
    assert [step.suspect.code for step in steps] == ["QD104", "QD101"]
    assert abs(steps[0].gained.recovered_task) < 15.0 and steps[0].gained.recovered_db > 3.0
    assert steps[1].gained.recovered_task > 50.0 and steps[1].after.score.task_value > 99.0
    assert needed == [True, True]
    ranking = ranked(case, [finding("0", GOOD), finding("3", GOOD, code="QD101")], unshift())
    assert [(cause.code, cause.verdict) for cause in ranking.causes] == [("QD104", "cause"), ("QD101", "cause")]
    assert all("hidden behind another cause" in cause.reason for cause in ranking.causes)
    assert ranking.remainder < 1.0


def test_harm_and_what_costs_the_float_network_are_no_steps() -> None:
    case = shifted_case({"1": [9.0, 0.0, 0.0, 0.0]})
    found = [suspect("1", HARMFUL, "equalize"), suspect("2", GOOD)]
    assert sequence(case, found, shift(), reweigh("equalize", -1.0), unshift())[0] == []


def test_last_steps_that_only_quiet_the_output_are_dropped() -> None:
    """The same constant at all logits is noise that changes no answer."""
    case = shifted_case({"1": [9.0, 0.0, 0.0, 0.0], "3": [30.0] * 4})
    steps, _ = sequence(case, [suspect("1", GOOD), suspect("3", GOOD, code="QD101")], unshift())
    assert [step.suspect.code for step in steps][-1] == "QD104"
    assert sequence(shifted_case({"3": [30.0] * 4}), [suspect("3", GOOD)], unshift())[0] == []


def test_one_step_is_the_repair_alone_and_needs_no_second_judgement() -> None:
    case = shifted_case({"1": [9.0, 0.0, 0.0, 0.0]})
    steps, needed = sequence(case, [suspect("1", GOOD)], unshift())
    assert len(steps) == 1 and needed == [False]
    ranking = ranked(case, [finding("1", GOOD)], unshift())
    assert [cause.verdict for cause in ranking.causes] == ["cause"]
    assert ranking.causes[0].reason == "its repair alone recovers accuracy"


def test_repairs_of_the_whole_network_have_their_turn_last_and_claim_nothing() -> None:
    case = shifted_case({"0": [0.0, 0.0, 1.0, 0.0], "3": [9.0, 0.0, 0.0, 0.0]})
    ranking = ranked(case, [finding("3", GOOD)], unshift(), everywhere("correct_bias", tells=True))
    assert [(step.code, step.repair) for step in ranking.waterfall] == [("QD104", GOOD), ("", "correct_bias")]
    assert [cause.code for cause in ranking.claimed] == ["QD104"]
    assert ranking.repaired.task_value > 99.0


def test_repairs_of_one_suspect_take_one_step() -> None:
    case = shifted_case({"1": [9.0, 0.0, 0.0, 0.0]})
    steps, _ = sequence(case, [suspect("1", GOOD, OTHER)], unshift(), unshift(OTHER))
    assert len(steps) == 1


def test_an_unexpected_error_in_the_ranking_is_a_refused_repair() -> None:
    case = shifted_case({"1": [9.0, 0.0, 0.0, 0.0]})
    broken = Repair(OTHER, lambda case, sites, context: 1 / 0)  # type: ignore[arg-type, return-value]
    ranking = ranked(case, [finding("1", OTHER, GOOD)], unshift(), broken)
    assert [(t.repair, t.refused) for t in ranking.causes[0].trials] == [
        (GOOD, None),
        (OTHER, "it failed: division by zero (ZeroDivisionError)"),
    ]
    with pytest.raises(ZeroDivisionError):
        rank_causes(case, [finding("1", OTHER)], {OTHER: broken}, RepairContext(), raises=True)


@pytest.fixture(scope="module")
def wide() -> Case:
    """One row of the first weight is 400 times the others: one scale for the tensor leaves them nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    with torch.no_grad():
        model[0].weight[0] *= 400.0
        model[2].weight[:, 0] /= 40000.0
        x = torch.randn(300, 6)
        labels = model(x).argmax(1)
    scheme = "tf-uint8"
    return open_test_case(model, (x, labels), scheme)


def test_ways_around_are_changes_of_scheme_best_first_and_parts_say_who_loses(wide: Case) -> None:
    ranking = ranked(wide, [])
    assert ranking.harm.verdict == "harmed" and ranking.causes == () and ranking.waterfall == ()
    assert {trial.repair for trial in ranking.ways_around} == {"per_channel_weights", "activations_16bit"}
    points = [trial.recovery.recovered_task for trial in ranking.ways_around if trial.recovery is not None]
    assert points == sorted(points, reverse=True)
    assert [part.part for part in ranking.parts] == ["weights", "activations"]
    assert all(part.after is None for part in ranking.parts)
    assert min(part.before.task_value for part in ranking.parts) < 90.0


def test_a_change_of_scheme_that_gives_nothing_back_is_no_way_around() -> None:
    case = shifted_case({"1": [9.0, 0.0, 0.0, 0.0]})
    ranking = ranked(case, [])
    assert ranking.harm.verdict == "harmed" and ranking.way_around is None


def test_layers_in_float_may_be_the_best_way_around(wide: Case) -> None:
    ranking = ranked(wide, [finding("0", "keep_float", code="QD101")], KEEP_FLOAT)
    own = ranking.causes[0].trials[0]
    assert ranking.causes[0].verdict == "cause" and own.recovery is not None
    assert ranking.way_around is not None and ranking.way_around.recovery is not None
    assert ranking.way_around.recovery.recovered_task >= own.recovery.recovered_task > 0.0
    found = [own, *ranking.ways_around]
    assert ranking.way_around in found


def test_a_healthy_network_costs_two_passes_and_nothing_is_claimed() -> None:
    ranking = ranked(shifted_case({}), [finding("1", GOOD)], unshift())
    assert ranking.harm.verdict == "healthy" and ranking.claimed == () and ranking.waterfall == ()
    assert ranking.harm.state == "unsure"  # one answer of 300 changes, which does not exclude a loss of 1 pp
    assert [cause.verdict for cause in ranking.causes] == ["undecided"]
    assert ranking.ways_around == () and ranking.pass_count == 1 and ranking.variant_count == 2


def test_the_same_seed_gives_the_same_ranking() -> None:
    case = shifted_case(HIDDEN)
    findings = [finding("0", GOOD), finding("3", GOOD, code="QD101")]
    assert ranked(case, findings, unshift()) == ranked(case, findings, unshift())


def test_one_repair_is_proof_of_one_cause() -> None:
    """Two findings at one layer, one of its weight and one of its output, with the same repair."""
    case = shifted_case({"1": [9.0, 0.0, 0.0, 0.0]})
    findings = [finding("1", GOOD, code="QD104"), finding("1", GOOD, code="QD201")]
    ranking = ranked(case, findings, unshift())
    assert [(cause.code, cause.verdict) for cause in ranking.causes] == [("QD104", "cause"), ("QD201", "undecided")]
    assert ranking.causes[1].reason == "the repair that helps is that of QD104 at the same layers"
    other = ranked(case, [findings[0], finding("1", OTHER, code="QD201")], unshift(), shift(OTHER))
    assert harm_of(other.repaired).state == "unsure"
    assert [cause.verdict for cause in other.causes] == ["cause", "undecided"]
    assert "too few to tell whether anything is left" in other.causes[1].reason


def test_what_helps_without_a_finding_is_said_and_can_be_run() -> None:
    case = shifted_case({"3": [9.0, 0.0, 0.0, 0.0]})
    ranking = ranked(case, [], everywhere("correct_bias", tells=True))
    assert ranking.claimed == () and [step.repair for step in ranking.waterfall] == ["correct_bias"]
    assert "No fault is proved to be the cause; the repair below recovers 7" in headline(ranking)
    ranking = ranked(case, [], reweigh("equalize", 2.0))
    assert commands(ranking, "net.pt", []) == (
        "# net.fixed.pt: its float network has a top-1 of 100.0 %, as before",
        "qdiag repair net.pt --with equalize --float-bound 2 -o net.fixed.pt",
    )


def test_the_sequence_ends_where_float_is_no_better_beyond_noise() -> None:
    case = shifted_case({"1": [9.0, 0.0, 0.0, 0.0], "3": [0.02, 0.0, 0.0, 0.0]})
    suspects = [suspect("1", GOOD), suspect("3", GOOD, code="QD101")]
    tried = []
    for is_exhaustive in (False, True):
        bench = replace(bench_of(case, suspects, unshift()), is_exhaustive=is_exhaustive)
        trials = [(found, order_trials(own)) for found, own in run_trials(bench, suspects)]
        before = bench.effort.variant_count
        steps = build_waterfall(bench, trials)
        tried.append(bench.effort.variant_count - before)
        assert [step.suspect for step in steps] == suspects[:1]
        judged = steps[-1].after.score.task.judged
        assert judged is not None and judged.loss_interval.low <= 0.0
    assert tried[0] == 0 < tried[1]
