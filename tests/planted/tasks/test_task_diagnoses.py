"""Each planted network of a task is judged right, and its fault is the cause; its healthy twin has none."""

import pytest

from tests.planted.tasks.diagnosing import diagnosis
from tests.planted.tasks.registry import FAULTY, HEALTHY, TASK_NETWORKS
from tests.planted.words import assert_surfaces_follow, assert_words_follow


@pytest.mark.parametrize("name", FAULTY)
def test_a_fall_of_the_metric_is_harm(name: str) -> None:
    harm = diagnosis(name).ranking.harm
    assert harm.verdict == "harmed"
    assert harm.criterion is not None
    assert harm.value >= (TASK_NETWORKS[name].drop_min or 0.0)


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_twin_is_healthy_and_nothing_is_claimed(name: str) -> None:
    ranking = diagnosis(name).ranking
    assert ranking.harm.verdict == "healthy"
    assert ranking.claimed == ()


@pytest.mark.parametrize("name", FAULTY)
def test_the_fault_is_the_first_cause(name: str) -> None:
    network, ranking = TASK_NETWORKS[name], diagnosis(name).ranking
    assert ranking.claimed
    first = ranking.claimed[0]
    assert ranking.causes[0] == first
    assert set(network.layers) <= set(first.layers)
    assert network.code in (None, first.code)


@pytest.mark.parametrize("name", FAULTY)
def test_what_was_tried_at_the_fault_gives_most_back(name: str) -> None:
    ranking = diagnosis(name).ranking
    gains = [t.recovery for t in ranking.claimed[0].trials if t.recovery is not None]
    best = max(gains, key=lambda recovery: recovery.recovered_task)
    assert best.task_interval.low > 0.0
    assert best.recovered_task >= 0.6 * ranking.harm.value


@pytest.mark.parametrize("name", FAULTY)
def test_no_repair_is_proposed_that_gives_nothing_back(name: str) -> None:
    ranking = diagnosis(name).ranking
    for step in ranking.waterfall:
        assert step.gained.recovered_task > 0.0
    if ranking.way_around is not None:
        assert ranking.way_around.recovery is not None
        assert ranking.way_around.recovery.recovered_task > 0.0


@pytest.mark.parametrize("name", FAULTY)
def test_a_harmed_network_is_never_left_without_a_way(name: str) -> None:
    ranking = diagnosis(name).ranking
    assert ranking.waterfall or ranking.way_around is not None


def test_the_concat_of_the_unet_is_hidden_behind_its_skip() -> None:
    first, second = diagnosis("unet").ranking.claimed
    assert (second.code, second.layers) == ("QD401", ("concat",))
    wide = next(trial for trial in second.trials if trial.repair == "activations_16bit")
    assert wide.is_of_others and wide.is_on_top and wide.over_others is not None and wide.recovery is not None
    assert wide.over_others.recovered_task < 0.5 * wide.recovery.recovered_task
    assert first.code == "QD205"


@pytest.mark.parametrize("name", ["two_outputs", "three_outputs"])
def test_a_last_layer_behind_the_fault_is_no_cause(name: str) -> None:
    (cause,) = diagnosis(name).ranking.claimed
    assert cause.code == "QD205"
    last = next(cause for cause in diagnosis(name).ranking.causes if cause.code == "QD406")
    assert all(trial.is_of_others for trial in last.trials if trial.helps)


@pytest.mark.parametrize("name", TASK_NETWORKS)
def test_words_follow_what_was_measured(name: str) -> None:
    assert_words_follow(diagnosis(name))
    assert_surfaces_follow(diagnosis(name))


WITHOUT_TARGETS = [name for name in FAULTY if name != "unet"]
"""The masks fall at 22 dB, of which the SQNR of the output cannot tell."""


@pytest.mark.parametrize("name", WITHOUT_TARGETS)
def test_without_targets_the_fault_is_the_first_cause_too(name: str) -> None:
    network, ranking = TASK_NETWORKS[name], diagnosis(name, "unlabelled").ranking
    assert ranking.harm.verdict == "harmed"
    assert (ranking.harm.criterion is None) == (network.unlabelled == "none")
    first = ranking.claimed[0]
    assert set(network.layers) <= set(first.layers)
    assert network.code in (None, first.code)
    assert max(t.recovery.recovered_db for t in first.trials if t.recovery is not None) >= 6.0


@pytest.mark.parametrize("name", HEALTHY)
def test_without_targets_a_healthy_twin_is_healthy_too(name: str) -> None:
    ranking = diagnosis(name, "unlabelled").ranking
    assert ranking.harm.verdict == "healthy"
    assert ranking.claimed == ()
