"""Layers that alone cost most of the loss are tried for that, where the suspect that is there is no cause."""

import pytest

from qdiag.core.causes.findings import Finding, FindingSite
from qdiag.core.causes.ranking import Ranking
from qdiag.rank.rank import rank_causes
from qdiag.reading.words.causes import headline
from qdiag.reading.words.untried import untried_findings
from qdiag.repairs.base import Repair, RepairContext
from qdiag.simulate.case import Case
from tests.unit.rank.shifted import GOOD, HARMFUL, finding, shift, shifted_case, unshift

FAULT = "QD301"
SWEEP = "QD407"
REPAIRS = ("activations_16bit", "keep_float")
"""Names of changes of scheme, here with the repair that takes the fault away."""


@pytest.fixture(scope="module")
def case() -> Case:
    """All answers become class 0, by one layer."""
    return shifted_case({"1": [9.0, 0.0, 0.0, 0.0]})


def ranked(case: Case, found: Finding, *repairs: Repair, layers: tuple[str, ...] = ("1",)) -> Ranking:
    by_sweep = Finding(SWEEP, tuple(FindingSite(layer) for layer in layers), REPAIRS)
    known = {repair.name: repair for repair in (*repairs, *map(unshift, REPAIRS))}
    return rank_causes(case, [found, by_sweep], known, RepairContext())


def test_a_layer_whose_suspect_is_no_cause_is_tried_by_itself(case: Case) -> None:
    ranking = ranked(case, finding("1", HARMFUL, code=FAULT), shift())
    (cause,) = ranking.claimed
    assert (cause.code, cause.layers) == (SWEEP, ("1",))
    assert [trial.repair for trial in cause.trials] == list(REPAIRS)
    assert [other.code for other in ranking.causes] == [SWEEP, FAULT]
    assert ranking.waterfall == () and "No repair" not in headline(ranking)


def test_a_layer_whose_suspect_is_repaired_is_not(case: Case) -> None:
    ranking = ranked(case, finding("1", GOOD, code=FAULT), unshift())
    assert [cause.code for cause in ranking.causes] == [FAULT]
    assert untried_findings(ranking) == (), "its layer was tried, for what was found there"


def test_a_repair_elsewhere_that_gives_the_loss_back_is_enough(case: Case) -> None:
    ranking = ranked(case, finding("1", GOOD, code=FAULT), unshift(), layers=("3",))
    assert [cause.code for cause in ranking.claimed] == [FAULT]
    beside = ranked(case, finding("1", *REPAIRS, code=FAULT))
    assert [cause.code for cause in beside.causes] == [FAULT], "the same changes were tried there"


def test_two_layers_of_which_one_has_a_suspect_are_tried_together() -> None:
    both = shifted_case({"1": [9.0, 0.0, 0.0, 0.0], "3": [0.0, 9.0, 0.0, 0.0]})
    ranking = ranked(both, finding("1", HARMFUL, code=FAULT), shift(), layers=("1", "3"))
    assert [(cause.code, cause.layers) for cause in ranking.claimed] == [(SWEEP, ("1", "3"))]
    assert sorted(cause.code for cause in ranking.causes) == [FAULT, SWEEP]
