"""Training as a repair: tried where repairs without it leave something, and proposed where it recovered something."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn

import qdiag
from qdiag.batches import Datasets
from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.ranking import Ranking, WaterfallStep
from qdiag.core.causes.score import Score
from qdiag.core.causes.training_trial import TrainingTrial
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import Interval
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.deployed.plan import DeployedPlan
from qdiag.pipeline.diagnose import DiagnoseOptions, diagnose_experiment
from qdiag.pipeline.preparation.synthesize import synthesize_datasets
from qdiag.pipeline.training.qat import QatOptions, train_model
from qdiag.pipeline.training.ranked import RankedTraining, epoch_seconds, ranked_trainings
from qdiag.reading.words.commands.training import training_commands
from qdiag.reading.words.trials.training import training_lines
from qdiag.subject import Subject
from qdiag.writers.json.diagnosis import diagnosis_to_json, read_diagnosis
from tests.cases import SESSION
from tests.unit.train.networks import learned, stripes

COARSE = qdiag.load_scheme("tf-uint8", ["weights.bits=2", "activations.bits=3"])
QUICK = qdiag.TrainingSettings(epochs=5, batch_size=16, learning_rate=0.01, averaging_constant=0.2)
MEASURED = 288


@cache
def data() -> Datasets:
    return Datasets(batches_from(stripes(160, 4), 32), batches_from(stripes(MEASURED, 5), 32), "drawn apart")


def subject() -> Subject:
    return Subject(learned(), "module", "net.pt2", "Sequential")


@cache
def experiment() -> Experiment:
    return begin(SESSION, subject(), data(), COARSE)


@cache
def diagnosed() -> Diagnosis:
    options = DiagnoseOptions(with_sensitivity=False, with_bits=False, training=HELPFUL, words=("--data", "x.npz"))
    return diagnose_experiment(SESSION, experiment(), options)


def trained(training: RankedTraining | None, ranking: Ranking | None = None) -> Diagnosis:
    """The same diagnosis, with what another training comes to."""
    ranking = ranking or diagnosed().ranking
    trials = ranked_trainings(SESSION, experiment(), ranking, experiment().case, training)
    return replace(diagnosed(), ranking=ranking, trainings=trials)


HELPFUL = RankedTraining(5.0, settings=QUICK, words=("--train-share", "0.25"))


def only(found: Diagnosis) -> TrainingTrial:
    [trial] = found.trainings
    return trial


def test_it_recovers_what_repairs_without_training_leave_and_says_what_it_cost() -> None:
    found = diagnosed()
    trial = only(found)
    assert trial.not_trained is None and trial.helps and trial.recovery is not None and trial.after is not None
    before, repaired = found.ranking.before.task_value, found.ranking.repaired.task_value
    assert trial.after.task_value > max(before, repaired)
    assert trial.recovery.recovered_task == pytest.approx(trial.after.task_value - before)
    assert trial.beside_repairs == pytest.approx(trial.after.task_value - repaired)
    assert trial.over_repairs is not None and trial.over_repairs.task_interval.low > 0.0
    assert trial.planned == trial.epochs
    assert trial.after.task.sample_count == MEASURED
    assert trial.sample_count == 144, "a tenth of the 160 training samples chooses the epoch"
    assert 0 < trial.best <= trial.epochs <= QUICK.epochs and trial.seconds > 0.0
    [line] = training_lines(found)
    assert "144 samples" in line and "more than repairs without training reach" in line and "float network" in line
    [command] = training_commands(found)
    assert command == f"qdiag qat net.pt2 --data x.npz --train-share 0.25 --epochs {trial.epochs} -o net.trained.pt2"


def test_the_figure_is_that_of_qdiag_qat_with_the_same_samples() -> None:
    trial = only(diagnosed())
    alone = train_model(SESSION, subject(), data(), COARSE, QatOptions(replace(QUICK, epochs=trial.epochs)))
    assert alone is not None and alone.result.after is not None and trial.after is not None
    assert alone.result.after.task.judged is not None
    assert alone.result.after.task.judged.simulated == trial.after.task_value
    assert alone.result.training.best == trial.best


def test_the_network_that_is_given_stays_as_it_was() -> None:
    diagnosed()
    given = experiment().subject.model
    assert isinstance(given, nn.Module)
    before = learned().state_dict()
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())
    assert all(parameter.grad is None for parameter in given.parameters())


def test_a_training_that_gains_nothing_is_not_proposed() -> None:
    found = trained(RankedTraining(5.0, settings=replace(QUICK, epochs=1, learning_rate=1e-12)))
    assert only(found).not_trained == "no better" and not only(found).helps
    assert training_commands(found) == ()
    assert training_lines(found)[0].startswith(
        "Training with the quantizers in place made no epoch better than the network as it was read"
    )


def healthy() -> Score:
    """The untrained network without quantizers, in the place of a quantized one."""
    before = diagnosed().ranking.before
    figures = tuple(replace(f, simulated=f.reference, loss_interval=Interval(0.0, 0.0)) for f in before.task.figures)
    return replace(before, task=replace(before.task, figures=figures))


def test_a_network_that_is_not_harmed_is_not_trained() -> None:
    ranking = diagnosed().ranking
    found = trained(HELPFUL, replace(ranking, harm=harm_of(healthy()), before=healthy()))
    assert found.ranking.harm.verdict == "healthy"
    assert only(found).not_trained == "no loss" and training_commands(found) == ()
    assert training_lines(found) == (
        "Training with the quantizers in place was not tried: quantization costs this network nothing that training "
        "could recover.",
    )
    unasked = trained(None, found.ranking)
    assert unasked.trainings == () and training_lines(unasked) == (), "nobody asked for it"


def test_a_loss_that_is_undecided_is_not_trained_away() -> None:
    ranking = diagnosed().ranking
    found = trained(HELPFUL, replace(ranking, harm=replace(ranking.harm, verdict="undecided")))
    assert only(found).not_trained == "no loss" and training_commands(found) == ()
    assert training_lines(found) == (
        "Training with the quantizers in place was not tried: it is undecided whether quantization costs this network "
        "anything.",
    )


def test_where_repairs_leave_nothing_it_is_not_tried() -> None:
    gained = only(diagnosed()).recovery
    assert gained is not None
    step = WaterfallStep("QD301", "recompute_variance", ("0",), healthy(), gained)
    found = trained(HELPFUL, replace(diagnosed().ranking, waterfall=(step,)))
    assert only(found).not_trained == "nothing left"
    assert trained(None, found.ranking).trainings == (), "nobody asked for it"
    assert training_lines(found) == (
        "Training with the quantizers in place was not tried: repairs without training leave nothing.",
    )


def test_without_leave_it_is_said_to_be_untried() -> None:
    found = trained(None)
    assert only(found).not_trained == "not allowed" and training_commands(found) == ()
    assert training_lines(found) == (
        "Training with the quantizers in place was not tried: no minutes were given for it.",
    )


def test_an_epoch_that_takes_longer_than_is_allowed_is_not_begun() -> None:
    trial = only(trained(replace(HELPFUL, minutes=1e-9)))
    assert trial.not_trained == "too slow" and trial.epoch_s > 0.0 and trial.epochs == 0


def test_an_epoch_takes_what_its_updates_and_its_judging_take() -> None:
    """A sample takes 0.5 s to train on and 0.1 s to judge; ten were timed."""
    assert epoch_seconds(judging=1.0, both=6.0, few=10, trained=90, judged=10) == pytest.approx(90 * 0.5 + 10 * 0.1)


def test_drawn_inputs_are_not_trained_on() -> None:
    drawn = synthesize_datasets(SESSION, subject(), (1, 1, 8, 8), samples=32, calib_samples=32, batch_size=16)
    other = replace(experiment(), datasets=drawn)
    trials = ranked_trainings(SESSION, other, diagnosed().ranking, other.case, RankedTraining(1.0))
    assert [trial.not_trained for trial in trials] == ["refused"]


def test_under_the_plan_of_a_quantized_file_nothing_is_trained() -> None:
    file = cast("DeployedPlan", object())  # nothing of it is looked at
    other, ranking = replace(experiment(), deployed=file), diagnosed().ranking
    [trial] = ranked_trainings(SESSION, other, ranking, other.case, HELPFUL)
    assert trial.not_trained == "refused" and "training goes by a scheme" in trial.detail
    assert ranked_trainings(SESSION, other, ranking, other.case, None) == ()


def test_it_is_stored_and_read_back(tmp_path: Path) -> None:
    found = diagnosed()
    (tmp_path / "diagnosis.json").write_text(diagnosis_to_json(found), encoding="utf-8")
    assert read_diagnosis(tmp_path / "diagnosis.json").trainings == found.trainings
