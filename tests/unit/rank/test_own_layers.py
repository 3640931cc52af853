"""A change of scheme that reaches other layers proves a suspect only by what its own layers recover."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
import torch
from torch import nn

from qdiag.core.causes.ranking import Ranking
from qdiag.rank.rank import rank_causes
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.simulate.case import Case
from qdiag.simulate.sweeps.sensitivity import all_but_these
from tests.cases import SESSION, open_test_case
from tests.unit.rank.shifted import GOOD, finding, shifted_case, unshift

WIDE = "activations_16bit"
"""A repair of these tests that goes by the name of a change of scheme."""
FIRST, SECOND = [9.0, 0.0, 0.0, 0.0], [0.0, 9.0, 0.0, 0.0]


def reaching(layer: str) -> Repair:
    """Takes the constants away at its sites and at one more layer."""
    at_sites = unshift(WIDE)

    def apply(case: Case, sites: Sequence[object], context: RepairContext) -> Treatment:
        names = dict.fromkeys((*(site.layer for site in sites), layer))  # type: ignore[attr-defined]
        return at_sites.apply(case, [replace(sites[0], layer=name) for name in names], context)  # type: ignore[type-var]

    return Repair(WIDE, apply)  # type: ignore[arg-type]


def ranked(shifts: Mapping[str, Sequence[float]], *repairs: Repair, own_repair: str | None = None) -> Ranking:
    """One suspect at layer 2, and where asked for a second one at layer 1 with a repair within the scheme."""
    findings = [finding("2", WIDE, code="QD401")]
    if own_repair is not None:
        findings.append(finding("1", own_repair, code="QD205"))
    table = {repair.name: repair for repair in repairs}
    return rank_causes(shifted_case(shifts), findings, table, RepairContext(session=SESSION))


@pytest.fixture(scope="module")
def beside_the_fault() -> Ranking:
    return ranked({"1": FIRST}, reaching("1"))


def test_the_gain_of_another_layer_is_no_proof(beside_the_fault: Ranking) -> None:
    (cause,) = beside_the_fault.causes
    (trial,) = cause.trials
    assert trial.helps and not trial.is_claim and trial.is_of_others
    assert trial.recovery is not None and trial.recovery.recovered_task > 50.0
    assert trial.own is not None and trial.own.recovered_task == 0.0
    assert trial.over_others is None, "with layer 1 changed alone, no harm is left"
    assert trial.credited == trial.own
    assert cause.verdict == "harmless" and cause.reason.startswith("in float, its own layers recover nothing")


def test_it_stays_a_way_around(beside_the_fault: Ranking) -> None:
    assert beside_the_fault.way_around == beside_the_fault.causes[0].trials[0]


def test_what_the_suspect_s_own_layers_give_back_is_a_proof() -> None:
    (cause,) = ranked({"2": SECOND}, reaching("1")).causes
    (trial,) = cause.trials
    assert trial.is_claim and cause.verdict == "cause"
    assert trial.own is not None and trial.recovery is not None and trial.over_others is None
    assert trial.own.recovered_task == pytest.approx(trial.recovery.recovered_task, abs=1.0)


def test_a_suspect_hidden_behind_the_other_layer_is_a_cause_after_it() -> None:
    """Each constant decides all answers alone; layer 1 by itself recovers nothing either."""
    ranking = ranked({"1": FIRST, "2": SECOND}, reaching("1"))
    (cause,) = ranking.causes
    (trial,) = cause.trials
    assert not trial.is_claim and trial.is_of_others and trial.is_on_top
    assert trial.credited == trial.over_others
    assert cause.verdict == "cause" and cause.reason.startswith("hidden behind layers beside it")


def test_a_true_cause_stands_before_a_suspect_beside_it() -> None:
    ranking = ranked({"1": FIRST}, reaching("1"), unshift(GOOD), own_repair=GOOD)
    assert [(cause.code, cause.verdict) for cause in ranking.causes] == [("QD205", "cause"), ("QD401", "undecided")]
    assert "too few to tell whether anything is left" in ranking.causes[1].reason


def test_nothing_more_is_measured_where_a_change_reaches_no_other_layer() -> None:
    (cause,) = ranked({"2": SECOND}, unshift(WIDE)).causes
    assert cause.verdict == "cause" and cause.trials[0].own is None


def test_layers_are_switched_off_with_the_quantizer_that_pooling_shares() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(18, 2)).eval()
    case = open_test_case(model, torch.randn(4, 1, 8, 8), "int8")
    pool = next(name for name, plan in case.plan.layers.items() if plan.shared_with == "0")
    off = all_but_these(case, (pool,)).plan.layers
    assert off[pool].output is None and off["0"].output is None and off["0"].weight is None
    assert off["3"] == case.plan.layers["3"]
