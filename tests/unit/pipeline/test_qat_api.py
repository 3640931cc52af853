"""`qdiag.qat`: what it returns, that it leaves the model alone, and what it refuses."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

import qdiag
from qdiag.batches import Datasets
from qdiag.config.scheme_text import scheme_toml
from qdiag.pipeline.preparation.synthesize import synthesize_datasets
from qdiag.pipeline.training.qat import QatOptions, train_model
from qdiag.subject import Subject
from qdiag.train.loop import Training
from tests.cases import SESSION
from tests.unit.train.networks import learned, stripes

COARSE = qdiag.load_scheme("tf-uint8", ["weights.bits=2", "activations.bits=3"])
SHORT = qdiag.TrainingSettings(epochs=1, batch_size=16, learning_rate=0.02, averaging_constant=0.2)
TRAINING, MEASURED = stripes(128, 4), stripes(48, 5)


@pytest.fixture(scope="module")
def done() -> tuple[nn.Module, qdiag.TrainedNetwork]:
    """The network that was given, in training mode, and what came out."""
    net = learned().train()
    return net, qdiag.qat(net, MEASURED, training=TRAINING, scheme=COARSE, settings=SHORT)


def test_the_network_that_is_given_stays_as_it_was(done: tuple[nn.Module, qdiag.TrainedNetwork]) -> None:
    net, trained = done
    assert isinstance(trained.model, nn.Sequential) and trained.model is not net
    before = learned().state_dict()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    moved = {name for name, value in trained.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == set(trained.result.training.moved) != set()
    assert all(p.grad is None for p in net.parameters())


def test_the_trained_copy_under_its_scheme_measures_as_in_training(
    done: tuple[nn.Module, qdiag.TrainedNetwork], tmp_path: Path
) -> None:
    _, trained = done
    result = trained.result
    assert result.after is not None and result.after.task.judged is not None and result.before.task.judged is not None
    assert result.after.task.judged.simulated > result.before.task.judged.simulated + 10.0
    again = qdiag.measure(trained.model, MEASURED, calibration=TRAINING, scheme=trained.scheme)
    assert (again.task, again.outputs) == (result.after.task, result.after.outputs)
    (tmp_path / "mine.toml").write_text(scheme_toml(trained.scheme), encoding="utf-8")
    by_file = qdiag.measure(trained.model, MEASURED, calibration=TRAINING, scheme=str(tmp_path / "mine.toml"))
    assert by_file.outputs == again.outputs


def test_one_set_is_divided_a_loss_is_ones_own_and_few_layers_move() -> None:
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return nn.functional.cross_entropy(outputs, targets, reduction="none")

    images, labels = stripes(120, 6)
    trained = qdiag.qat(learned(), (images, labels), scheme=COARSE, settings=SHORT, loss=loss, layers=["8"])
    assert trained.result.before.data.measured_count == 24 and trained.result.training.sample_count == 87
    assert trained.result.training.loss == "your own loss"
    assert set(trained.result.training.moved) == {"8.weight", "8.bias"}


def test_an_exported_program_comes_back_as_one() -> None:
    program = export(learned(), (MEASURED[0][:2],), dynamic_shapes=({0: Dim("batch")},))
    before = copy.deepcopy(program.state_dict)
    trained = qdiag.qat(program, MEASURED, training=TRAINING, scheme=COARSE, settings=SHORT)
    assert isinstance(trained.model, ExportedProgram) and trained.result.exit_code == 0
    assert all(torch.equal(value, before[name]) for name, value in program.state_dict.items())
    assert not torch.equal(trained.model.state_dict["8.weight"], before["8.weight"])


def test_where_nothing_is_gained_a_copy_comes_back() -> None:
    fine = qdiag.load_scheme("tf-uint8", ["activations.bits=32"])
    net, settings = learned(), replace(SHORT, learning_rate=1e-30, freeze_bn_after=0)
    trained = qdiag.qat(net, MEASURED, training=TRAINING, scheme=fine, settings=settings)
    assert trained.result.after is None and trained.result.exit_code == 1
    assert isinstance(trained.model, nn.Module) and trained.model is not net
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in trained.model.state_dict().items())


def test_a_training_that_was_stopped_goes_on(
    done: tuple[nn.Module, qdiag.TrainedNetwork], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, judge = tmp_path / "state", Training._judge

    def stop(self: Training, epoch: int, training_loss: float, started: float) -> None:
        judge(self, epoch, training_loss, started)
        if epoch == 1:
            assert self.state is not None
            self.state.write(self._saved())
            raise KeyboardInterrupt

    def call() -> qdiag.TrainedNetwork:
        return qdiag.qat(learned(), MEASURED, training=TRAINING, scheme=COARSE, settings=SHORT, state=state)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Training, "_judge", stop)
        call()
    assert state.is_file()
    again = call()
    assert again.result.training.is_resumed and not state.exists()
    assert again.result.after is not None and done[1].result.after is not None
    assert again.result.after.outputs == done[1].result.after.outputs


def test_drawn_inputs_are_refused() -> None:
    subject = Subject(learned(), "module", "net", "net")
    drawn: Datasets = synthesize_datasets(SESSION, subject, (1, 1, 8, 8), samples=2, calib_samples=2)
    with pytest.raises(qdiag.QdiagError, match="drawn inputs are no samples to train on"):
        train_model(SESSION, subject, drawn, COARSE, QatOptions(SHORT))
