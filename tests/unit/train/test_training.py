"""The loop: what is learned, kept, resumed, and refused."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from qdiag.core.causes.training import EpochRecord
from qdiag.errors import ConfigError, DivergedError, SimulationError
from qdiag.simulate.case import Case
from qdiag.train.loop import Trained, Training, best_of
from qdiag.train.losses import choose_loss
from qdiag.train.moving import moving_names
from qdiag.train.saved_state import StateFile
from qdiag.train.settings import TrainingSettings
from tests.cases import SESSION
from tests.unit.train.networks import all_names, learned, stripe_case

COARSE = ("weights.bits=2", "activations.bits=3")
SHORT = TrainingSettings(epochs=3, batch_size=16, learning_rate=0.02, averaging_constant=0.2)


def coarse() -> Case:
    return stripe_case("tf-uint8", *COARSE, is_learned=True, count=64)


def training(case: Case, settings: TrainingSettings = SHORT, **changes: Any) -> Training:
    loss = choose_loss(case.tasks, distill=settings.distill)
    parts = {"moving": all_names(learned()), **changes}
    return Training(SESSION, case, settings, loss, case.calibration, case.measured, **parts)


@pytest.fixture(scope="module")
def done() -> Trained:
    return training(coarse()).run()


def quantized(record: EpochRecord) -> float:
    assert record.task.judged is not None
    return record.task.judged.simulated


def test_it_recovers_what_quantization_loses(done: Trained) -> None:
    first, best = done.record.epochs[0], done.record.epochs[done.record.best]
    assert first.task.judged is not None and first.task.judged.criterion.name == "top-1"
    assert first.task.judged.reference - quantized(first) > 20.0
    assert quantized(best) - quantized(first) > 15.0
    assert best.loss < first.loss and best.float_loss == first.float_loss


def test_the_best_epoch_is_what_is_returned(done: Trained) -> None:
    assert [record.epoch for record in done.record.epochs] == [0, 1, 2, 3]
    assert done.record.best == best_of(done.record.epochs) and not done.record.is_resumed
    (scored,), _ = SESSION.score([done.case], "again")
    assert scored.score.task.judged is not None
    assert scored.score.task.judged.simulated == quantized(done.record.epochs[done.record.best])
    tensors = done.case.tensors
    assert all(torch.equal(tensors[name], value) for name, value in done.changes.items())
    assert set(done.record.moved) == set(done.changes)
    assert done.case.scheme == done.scheme


def test_the_same_seed_gives_the_same_numbers(done: Trained) -> None:
    again = training(coarse()).run()
    assert [replace(e, seconds=0.0) for e in again.record.epochs] == [
        replace(e, seconds=0.0) for e in done.record.epochs
    ]
    assert all(torch.equal(value, done.changes[name]) for name, value in again.changes.items())


def test_a_run_that_was_stopped_goes_on(done: Trained, tmp_path: Path) -> None:
    state = StateFile(tmp_path / "state.pt", "key")

    class Stopped(Exception):  # noqa: N818 - stands for a kill
        pass

    class Stopping(Training):
        def _train(self, epoch: int) -> float:
            if epoch == 3:
                raise Stopped
            return super()._train(epoch)

    case = coarse()
    stopping = Stopping(
        SESSION, case, SHORT, choose_loss(case.tasks), case.calibration, case.measured, all_names(learned()), state
    )
    with pytest.raises(Stopped):
        stopping.run()
    resumed = training(coarse(), state=state).run()
    assert resumed.record.is_resumed
    assert [e.loss for e in resumed.record.epochs] == [e.loss for e in done.record.epochs]
    assert all(torch.equal(value, done.changes[name]) for name, value in resumed.changes.items())
    with pytest.raises(ConfigError, match="another training"):
        training(coarse(), state=StateFile(state.path, "other")).run()
    state.path.write_bytes(b"no state")
    with pytest.raises(ConfigError, match="no state of a training"):
        training(coarse(), state=state).run()
    state.remove()
    assert not state.path.exists()


@pytest.mark.parametrize(
    "settings",
    [
        replace(SHORT, epochs=2, ranges="learned", freeze_bn_after=1, learning_rate=0.003),
        replace(SHORT, epochs=2, optimizer="adam", distill=True, learning_rate=0.005),
        replace(SHORT, epochs=2, quant_delay=4, weight_decay=1e-3, decay="none"),
    ],
)
def test_other_settings_learn_too(settings: TrainingSettings) -> None:
    record = training(coarse(), settings).run().record
    assert record.best > 0
    assert record.epochs[record.best].loss < record.epochs[0].loss
    assert [e.is_quantized for e in record.epochs] == [False, settings.quant_delay == 0, True]
    assert record.loss == ("distillation" if settings.distill else "cross-entropy")


def test_a_binary_network_learns_and_keeps_its_weights_between_the_bounds() -> None:
    settings = replace(SHORT, epochs=2, optimizer="shift_adamax", learning_rate=2.0**-6, distill=True)
    case = stripe_case("bnn", "weights.stochastic_seed=1", is_learned=True, count=64)
    done = training(case, settings).run()
    assert done.record.epochs[-1].loss < done.record.epochs[0].loss
    assert float(done.changes["3.weight"].abs().max()) <= 1.0


def test_only_the_chosen_layers_move() -> None:
    case = coarse()
    names = all_names(learned())
    moving = moving_names(case, names, ["3"])
    assert moving == {"3.weight", "3.bias", "4.weight", "4.bias", "4.running_mean", "4.running_var"}
    assert moving_names(case, names) == {name for name in names if "num_batches" not in name}
    assert moving_names(case, {"8.weight"}, ["8"]) == {"8.weight"}  # the bias is no parameter of the model
    done = training(case, replace(SHORT, epochs=1), moving=moving).run()
    assert set(done.changes) <= moving
    with pytest.raises(ConfigError, match="no layer is called nothing"):
        moving_names(case, names, ["nothing"])


def test_a_loss_that_is_not_finite_ends_it() -> None:
    with pytest.raises(SimulationError, match="the training diverged"):
        training(coarse(), replace(SHORT, learning_rate=1e30, decay="none")).run()


def test_weights_that_the_last_update_makes_infinite_end_it() -> None:
    """The loss before that update was finite."""
    settings = replace(SHORT, epochs=1, batch_size=10**6, learning_rate=1e38, weight_decay=1e6, decay="none")
    with pytest.raises(DivergedError, match=r"the training diverged: .* after 1 steps"):
        training(coarse(), settings).run()


def test_no_epoch_but_the_first_goes_beyond_the_time() -> None:
    """The learning rate falls over all that were planned."""
    settings = replace(SHORT, epochs=3)
    ended, whole = (training(coarse(), settings, until=until).run() for until in (0.0, math.inf))
    assert [epoch.epoch for epoch in ended.record.epochs] == [0, 1]
    assert [replace(e, seconds=0.0) for e in ended.record.epochs[1:]] == [
        replace(e, seconds=0.0) for e in whole.record.epochs[1:2]
    ]


def test_nothing_that_may_move_is_refused() -> None:
    with pytest.raises(SimulationError, match="no parameter may move"):
        training(coarse(), moving=frozenset())


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"momentum": 1.0},
        {"weight_decay": -1.0},
        {"averaging_constant": 0.0},
        {"quant_delay": -1},
        {"freeze_bn_after": -1},
    ],
)
def test_settings_out_of_bounds_are_named(fields: dict[str, float]) -> None:
    (name,) = fields
    with pytest.raises(ConfigError, match=name):
        TrainingSettings(**fields)  # type: ignore[arg-type]
