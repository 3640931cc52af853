"""What int8 does to the planted networks of every task, in plain numbers, whatever the program says of it."""

from pathlib import Path

import numpy as np
import pytest
import torch

import qdiag
from tests.planted.tasks import detector, preset, recurrent, regression, task_network
from tests.planted.tasks.registry import FAULTY, HEALTHY, TASK_NETWORKS
from tests.planted.tasks.simulated import simulate
from tests.planted.tasks.task_network import TaskNetwork

NAMES = tuple(TASK_NETWORKS)


@pytest.fixture(params=NAMES)
def network(request: pytest.FixtureRequest) -> TaskNetwork:
    return TASK_NETWORKS[request.param]


def test_the_float_network_is_good(network: TaskNetwork) -> None:
    assert simulate(network.name).reference_scores.mean() >= network.float_min


def test_the_engine_and_the_module_agree_in_float(network: TaskNetwork) -> None:
    with torch.no_grad():
        outputs = network.build()(network.data().measured.inputs)
    leaves = (
        list(outputs.values()) if isinstance(outputs, dict) else outputs if isinstance(outputs, tuple) else [outputs]
    )
    for found, expected in zip(simulate(network.name).reference, leaves, strict=True):
        assert found.shape == expected.shape
        error = (found - expected).double().square().sum() / expected.double().square().sum()
        assert float(error) < 1e-7


@pytest.mark.parametrize("name", FAULTY)
def test_int8_costs_the_faulty_network_much(name: str) -> None:
    network, found = TASK_NETWORKS[name], simulate(name)
    assert network.drop_min is not None
    assert found.drop >= network.drop_min
    error = (found.reference_scores - found.simulated_scores).std() / np.sqrt(len(found.reference_scores))
    assert found.drop > 4.0 * error, "beyond noise"


@pytest.mark.parametrize("name", HEALTHY)
def test_int8_costs_the_healthy_network_next_to_nothing(name: str) -> None:
    assert abs(simulate(name).drop) <= TASK_NETWORKS[name].drop_max


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_has_a_healthy_twin_that_is_as_good_in_float(name: str) -> None:
    network = TASK_NETWORKS[name]
    assert network.twin in HEALTHY
    twin = TASK_NETWORKS[network.twin]
    assert (twin.task, twin.twin) == (network.task, None)
    assert simulate(network.name).reference_scores.mean() == pytest.approx(
        simulate(twin.name).reference_scores.mean(), abs=0.02
    )


@pytest.mark.parametrize("name", ["unet", "embedding", "two_outputs", "three_outputs", "recurrent"])
def test_measure_gives_the_same_scores(name: str) -> None:
    """One of each kind of output."""
    network, found = TASK_NETWORKS[name], simulate(name)
    data = network.data()
    result = qdiag.measure(
        network.build(), data.measured.batches(), calibration=data.calibration.batches(), metric=network.metric
    )
    score = result.task.figures[0]
    assert score.criterion.name == getattr(network.metric, "__name__", "")
    assert score.reference == pytest.approx(found.reference_scores.mean(), abs=1e-6)
    assert score.simulated == pytest.approx(found.simulated_scores.mean(), abs=1e-6)
    assert network.judged in [record.name for record in result.outputs]
    names = {record.name for record in result.records}
    assert set(network.layers) <= names


def test_the_detector_loses_every_score_at_a_fair_output() -> None:
    found = simulate("detector")
    assert found.sqnr_db() >= 40.0
    assert 0.3 <= float(found.reference[0][:, 4:].max()) <= 0.62
    assert float(found.simulated[0][:, 4:].abs().max()) == 0.0
    size = found.reference[0][:, :4].amax()
    assert 280.0 <= float(size) <= 360.0


def test_the_boxes_of_the_detector_are_as_good_as_before() -> None:
    """Only the scores are lost: with those of the float network it finds what it found."""
    found = simulate("detector")
    mixed = torch.cat((found.simulated[0][:, :4], found.reference[0][:, 4:]), 1)
    scores = detector.detection_f1(mixed, detector.data().measured.targets)
    assert scores.mean() == pytest.approx(found.reference_scores.mean(), abs=0.02)


def test_the_masks_are_lost_at_a_fair_output() -> None:
    assert simulate("unet").sqnr_db() >= 20.0
    assert simulate("unet").drop >= 0.05


def test_the_radius_alone_is_lost() -> None:
    found, targets = simulate("regression"), regression.data("pixels").measured.targets
    error = [
        (outputs[0] - targets).abs().mean(0) / regression.SPREADS for outputs in (found.reference, found.simulated)
    ]
    pixels = error[1][:2] / error[0][:2]
    assert float(pixels.max()) <= 1.25
    assert float(error[1][2] / error[0][2]) >= 3.0
    assert found.sqnr_db() >= 40.0


def test_a_mean_error_over_pixels_and_shares_does_not_show_the_radius() -> None:
    found, targets = simulate("regression"), regression.data("pixels").measured.targets
    plain = [-regression.negative_error(outputs[0], targets).mean() for outputs in (found.reference, found.simulated)]
    assert plain[1] <= 1.15 * plain[0]


@pytest.mark.parametrize(("name", "lost"), [("two_outputs", 1), ("three_outputs", 2)])
def test_the_outputs_beside_the_faulty_one_are_well(name: str, lost: int) -> None:
    found = simulate(name)
    for index in range(len(found.reference)):
        assert (found.sqnr_db(index) < 10.0) == (index == lost)
        assert (found.sqnr_db(index) > 25.0) == (index != lost)


def test_embeddings_have_length_one_in_float() -> None:
    norms = simulate("embedding").reference[0].norm(dim=1)
    assert float((norms - 1.0).abs().max()) < 1e-5


@pytest.mark.parametrize("name", ["recurrent", "recurrent_frames"])
def test_the_loss_of_the_recurrent_network_is_the_input_s_alone(name: str) -> None:
    """With 16 bits for the input nothing is lost, and most of the signal there is below one step."""
    assert simulate(name, ("input:mel",)).drop <= 0.02
    inputs = TASK_NETWORKS[name].data().measured.inputs
    step = float(inputs.max()) / 255.0
    assert float((inputs < step / 2).float().mean()) >= 0.9
    assert float((recurrent.data("utterances", has_clicks=False).measured.inputs < 0.005).float().mean()) <= 0.1


def test_the_loss_of_the_spectral_network_is_that_of_its_power() -> None:
    front = ("front_end.square*", "front_end.add*")
    assert simulate("spectral", front).drop <= 0.05


def test_the_wrong_preset_costs_the_float_network_its_accuracy() -> None:
    assert preset.float_top1(preset.RIGHT) >= preset.LEAST_RIGHT
    assert preset.float_top1(preset.WRONG) <= preset.MOST_WRONG


def test_under_the_right_preset_int8_costs_nothing() -> None:
    calibration, measured = (preset.photographs(n, seed).prepared(preset.RIGHT) for n, seed in ((64, 2), (240, 3)))
    result = qdiag.measure(preset.build(), measured.batches(), calibration=calibration.batches())
    (output,) = result.outputs
    assert (output.name, output.error.sqnr_db >= 25.0) == ("logits", True)


def test_without_a_stored_file_a_network_is_trained_the_same_each_time_and_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = TASK_NETWORKS["regression_shares"]
    measured = network.data().measured
    trained = []
    for name in ("first", "second"):
        monkeypatch.setattr(task_network, "WEIGHTS", tmp_path / name)
        monkeypatch.setattr(regression, "_trained", regression._trained.__wrapped__)
        trained.append(regression.build.__wrapped__("shares"))
        monkeypatch.undo()
        assert (tmp_path / name / "regression.npz").exists()
    first, second = (model.state_dict() for model in trained)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    with torch.no_grad():
        scores = network.metric(trained[0](measured.inputs), measured.targets)
    assert scores.mean() >= network.float_min
