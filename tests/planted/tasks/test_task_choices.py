"""Which task the program sees in each planted network, and which output it judges."""

import pytest

import qdiag
from tests.planted.tasks.diagnosing import measurement
from tests.planted.tasks.registry import FAULTY, HEALTHY, TASK_NETWORKS
from tests.planted.tasks.simulated import simulate


@pytest.mark.parametrize("name", TASK_NETWORKS)
def test_targets_tell_task_and_output(name: str) -> None:
    network = TASK_NETWORKS[name]
    choice = measurement(name, "by_targets").task.choice
    assert (choice.kind, choice.output) == (network.task, network.judged)
    assert (choice.reason == "asked") == network.is_told


@pytest.mark.parametrize("name", TASK_NETWORKS)
def test_without_targets_only_names_make_a_classifier(name: str) -> None:
    network, task = TASK_NETWORKS[name], measurement(name, "unlabelled").task
    assert task.choice.kind == network.unlabelled
    if network.unlabelled == "none":
        assert task.figures == ()
    else:
        assert task.choice.output == network.judged
        assert all(figure.criterion.is_against_float for figure in task.figures)


@pytest.mark.parametrize("name", [name for name, network in TASK_NETWORKS.items() if network.unlabelled != "none"])
def test_answers_of_the_float_network_fall_with_the_accuracy(name: str) -> None:
    figure = measurement(name, "unlabelled").task.judged
    assert figure is not None
    assert figure.reference == 100.0
    assert (figure.loss >= 10.0) == (name in FAULTY)
    assert (figure.loss <= 2.0) == (name in HEALTHY)


@pytest.mark.parametrize("name", TASK_NETWORKS)
def test_the_user_s_metric_judges(name: str) -> None:
    network, found, task = TASK_NETWORKS[name], simulate(name), measurement(name, "by_metric").task
    judged = task.judged
    assert judged is not None
    assert judged.criterion.name == getattr(network.metric, "__name__", "")
    assert judged.reference == pytest.approx(found.reference_scores.mean(), abs=1e-6)
    assert judged.simulated == pytest.approx(found.simulated_scores.mean(), abs=1e-6)
    assert judged.loss_interval.low <= judged.loss <= judged.loss_interval.high


def test_top1_is_counted_as_the_plain_metric_counts_it() -> None:
    for name in ("two_outputs", "three_outputs", "recurrent", "spectral"):
        figure, found = measurement(name, "by_targets").task.figure("top-1"), simulate(name)
        assert figure is not None
        assert figure.reference == pytest.approx(100.0 * found.reference_scores.mean())
        assert figure.simulated == pytest.approx(100.0 * found.simulated_scores.mean())


def test_average_precision_falls_with_the_plain_f1() -> None:
    for name in ("detector", "detector_fractions", "detector_two_outputs"):
        figures = [measurement(name, "by_targets").task.figure(kind) for kind in ("mAP", "mAP50", "box agreement")]
        precision, at_half, agreement = figures
        assert precision is not None and at_half is not None and agreement is not None
        assert at_half.reference >= 85.0
        assert precision.reference < at_half.reference
        assert agreement.reference == 100.0
        if name in FAULTY:
            assert (precision.simulated, at_half.simulated, agreement.simulated) == (0.0, 0.0, 0.0)
        else:
            assert max(abs(precision.loss), abs(at_half.loss)) <= 1.5
            assert agreement.simulated >= 95.0


def test_boxes_agree_without_targets_where_detection_is_asked_for() -> None:
    for name in ("detector", "detector_fractions"):
        network = TASK_NETWORKS[name]
        data = network.data()
        batches = [part.batches(labelled=False) for part in (data.measured, data.calibration)]
        task = qdiag.measure(network.build(), batches[0], calibration=batches[1], task="detect").task
        assert [figure.criterion.name for figure in task.figures] == ["box agreement"]
        assert (task.figures[0].loss >= 50.0) == (name in FAULTY)
