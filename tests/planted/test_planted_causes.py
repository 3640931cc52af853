"""Each planted fault is found where it was planted, and what repairs it is claimed as the cause, first of all."""

import pytest

from qdiag.core.causes.codes import CODES
from tests.planted.diagnosing import diagnosis, finding
from tests.planted.fault import PlantedFault
from tests.planted.faults import FAULTS
from tests.planted.words import assert_surfaces_follow, assert_words_follow

BY_NAME = {fault.name: fault for fault in FAULTS}
CAUSES = [fault.name for fault in FAULTS if fault.cause]


@pytest.fixture(params=BY_NAME)
def fault(request: pytest.FixtureRequest) -> PlantedFault:
    return BY_NAME[request.param]


def test_it_is_found_where_it_was_planted(fault: PlantedFault) -> None:
    found = finding(diagnosis(fault.sick), fault.code)
    assert found is not None
    assert set(fault.layers) <= set(found.layers)


@pytest.mark.parametrize("name", CAUSES)
def test_it_costs_accuracy_and_is_the_first_cause(name: str) -> None:
    fault = BY_NAME[name]
    ranking = diagnosis(fault.sick).ranking
    assert ranking.harm.verdict == "harmed"
    assert ranking.harm.interval.low > 0.0
    first = ranking.causes[0]
    assert (first.code, first.verdict) == (fault.code, "cause")
    assert set(fault.layers) <= set(first.layers)


@pytest.mark.parametrize("name", CAUSES)
def test_its_repair_gives_most_of_the_accuracy_back(name: str) -> None:
    ranking = diagnosis(BY_NAME[name].sick).ranking
    best = max(
        (trial for trial in ranking.causes[0].trials if trial.recovery is not None),
        key=lambda trial: trial.recovery.recovered_task if trial.recovery else 0.0,
    )
    assert best.recovery is not None
    assert best.recovery.task_interval.low > 0.0
    assert best.recovery.recovered_task >= 0.6 * ranking.harm.value
    keeps_scheme = any(t.keeps_scheme and t.recovery for t in ranking.causes[0].trials)
    assert keeps_scheme or ranking.way_around is not None


@pytest.mark.parametrize("name", [name for name in BY_NAME if name not in CAUSES])
def test_what_nothing_here_repairs_is_listed_and_not_claimed(name: str) -> None:
    fault = BY_NAME[name]
    causes = {cause.code: cause for cause in diagnosis(fault.sick).ranking.causes}
    assert causes[fault.code].verdict == "untested"
    assert all(trial.refused for trial in causes[fault.code].trials)
    assert diagnosis(fault.sick).ranking.claimed == ()


def test_words_follow_what_was_measured(fault: PlantedFault) -> None:
    for network in (fault.sick, fault.twin):
        assert_words_follow(diagnosis(network))
        assert_surfaces_follow(diagnosis(network))


def test_every_code_has_a_planted_fault() -> None:
    by_sweep = "QD407"  # needs each layer alone, see test_sole_loss.py
    of_files = [code.code for code in CODES if code.family == "deployment"]  # see test_deployed_files.py
    others = [code.code for code in CODES if code.code not in (by_sweep, *of_files)]
    assert [fault.code for fault in FAULTS] == others
