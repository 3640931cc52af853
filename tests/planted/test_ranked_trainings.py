"""Trainings as repairs where no other repair is at hand: a depthwise BatchNorm stretches a range, and its healthy twin.

The networks are judged by labels, by their agreement with the float network, and by the SQNR of their outputs.
"""

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

import qdiag
from qdiag.batches import Datasets
from qdiag.capture.rewrites.separable import find_separable
from qdiag.core.causes.ranking import Ranking
from qdiag.core.causes.training_trial import TrainingTrial
from qdiag.core.measures.task import Interval, TaskKind
from qdiag.detectors import detect
from qdiag.detectors.base import DetectionContext
from qdiag.loaders.data.sources import batches_from
from qdiag.pipeline.begin import Experiment, begin, measurement_of
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.training.qat import QatOptions, train_model
from qdiag.pipeline.training.ranked import RankedTraining, blocks_pointed_at, ranked_trainings
from qdiag.pipeline.training.refit_separable import refit_subject
from qdiag.rank.rank import rank_network
from qdiag.reading.words.commands.training import training_commands
from qdiag.reading.words.trials.training import training_lines
from qdiag.repairs.base import RepairContext
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.subject import Subject
from tests.cases import SESSION
from tests.diagnoses import diagnosis
from tests.unit.train.networks import stripes

SCHEME = qdiag.load_scheme("tf-uint8", ["weights.bits=4"])
QUICK = qdiag.TrainingSettings(epochs=2, batch_size=16, learning_rate=0.02, averaging_constant=0.2)
OUTLIER, DEPTHWISE, STRETCHED = 3, 3, 30.0
"""A channel, the layer whose weight it stretches, and the gain of its BatchNorm there."""
TRAINED, MEASURED = stripes(128, 4), stripes(288, 5)


@cache
def _learned() -> nn.Sequential:
    """MobileNetV1 in small, trained in float to tell stripes apart."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
            *(nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
            *(nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6()),
            *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4)),
        ).train()
        images, labels = stripes(256, 1)
        optimizer = torch.optim.Adam(net.parameters(), 1e-2)
        for part in 6 * torch.arange(256).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images[part]), labels[part]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return net.eval()


def network(*, is_stretched: bool) -> nn.Sequential:
    """The healthy one, or with a gain that stretches the depthwise range, and that hardly any output reads."""
    net = copy.deepcopy(_learned())
    if is_stretched:
        with torch.no_grad():
            net[DEPTHWISE + 1].weight[OUTLIER], net[DEPTHWISE + 1].bias[OUTLIER] = STRETCHED, 0.0  # type: ignore[index, operator]
            net[6].weight[:, OUTLIER] *= 0.02  # type: ignore[index, operator]
    return net


def subject(*, is_stretched: bool = True) -> Subject:
    return Subject(network(is_stretched=is_stretched), "module", "net.pth", "net.py:make")


def data(*, is_labelled: bool = True) -> Datasets:
    trained, measured = (pair if is_labelled else pair[0] for pair in (TRAINED, MEASURED))
    return Datasets(batches_from(trained, 32), batches_from(measured, 32), "drawn apart")


@cache
def ranked(*, is_stretched: bool = True) -> tuple[Experiment, Ranking]:
    """With every finding, and no repair at hand."""
    experiment = begin(SESSION, subject(is_stretched=is_stretched), data(), SCHEME)
    seen = SESSION.measure(experiment.case, "facts")
    audit = audit_batchnorms(experiment.subject, program=experiment.case.program)
    findings = detect(DetectionContext(measurement_of(SESSION, experiment, seen), seen.facts, audit))
    context = RepairContext(audit, {facts.layer: facts for facts in seen.facts}, SESSION)
    return experiment, rank_network(experiment.case, findings, {}, context)[0]


@cache
def unlabelled(task: TaskKind | None) -> tuple[Experiment, Ranking]:
    """With the findings of the labelled one, which labels have no part in."""
    experiment = begin(SESSION, subject(), data(is_labelled=False), SCHEME, TaskRequest(task))
    return experiment, rank_network(experiment.case, ranked()[1].findings, {}, RepairContext(session=SESSION))[0]


def trained(found: tuple[Experiment, Ranking]) -> tuple[TrainingTrial, ...]:
    experiment, ranking = found
    options = RankedTraining(5.0, settings=QUICK, words=("--train-data", "t.npz"))
    return ranked_trainings(SESSION, experiment, ranking, experiment.case, options)


@cache
def labelled() -> tuple[TrainingTrial, ...]:
    return trained(ranked())


def test_the_rewriting_is_tried_where_the_range_is_stretched_and_gives_it_back() -> None:
    as_read, rewritten = labelled()
    assert (as_read.method, rewritten.method) == ("qat", "refit_separable")
    assert (rewritten.variant, rewritten.blocks) == ("b", (str(DEPTHWISE),))
    assert rewritten.helps and rewritten.recovery is not None and rewritten.after is not None
    before = ranked()[1].before.task_value
    assert rewritten.recovery.recovered_task == pytest.approx(rewritten.after.task_value - before)
    assert rewritten.recovery.recovered_task > 30.0 and rewritten.recovery.task_interval.low > 20.0
    assert 0 < rewritten.best <= rewritten.epochs and rewritten.seconds > 0.0
    assert rewritten.float_cost is not None and rewritten.float_cost.unit == "pp"


def test_the_healthy_twin_has_a_block_that_nothing_points_at() -> None:
    experiment, ranking = ranked(is_stretched=False)
    assert [block.name for block in find_separable(experiment.case.program)] == [str(DEPTHWISE)]
    assert blocks_pointed_at(experiment.case, ranking) == ()
    stretched, other = ranked()
    assert [block.name for block in blocks_pointed_at(stretched.case, other)] == [str(DEPTHWISE)]


def test_layers_that_may_not_move_and_samples_that_are_measured() -> None:
    experiment, ranking = ranked()
    none = RankedTraining(5.0, settings=QUICK, layers=("nothing",))
    assert {trial.not_trained for trial in ranked_trainings(SESSION, experiment, ranking, experiment.case, none)} == {
        "refused"
    }
    overlapping = batches_from(tuple(torch.cat([a, b[:5]]) for a, b in zip(TRAINED, MEASURED, strict=True)), 32)
    options = RankedTraining(5.0, overlapping, settings=QUICK)
    [trial] = ranked_trainings(SESSION, experiment, ranking, experiment.case, options)
    assert (trial.not_trained, trial.detail) == (
        "refused",
        "5 of the 288 measured samples are among those to train on",
    )


def test_the_words_and_the_command_say_what_was_rewritten() -> None:
    rewritten = labelled()[1]
    assert rewritten.after is not None and rewritten.over_repairs is not None
    base = diagnosis()
    found = replace(base, trainings=(rewritten,))
    [line] = training_lines(found)
    assert line.startswith(f"Training with friendly separable convolutions (variant b behind layer {DEPTHWISE}): ")
    assert "2 epochs on 116 samples" in line and "more than repairs without training reach. Its cost" in line
    [command] = training_commands(found)
    assert f" --train-data t.npz --refit-separable b --refit-blocks {DEPTHWISE} --epochs 2 -o " in command
    assert command.endswith(".trained.pt2")
    stopped = replace(found, trainings=(replace(rewritten, planned=9),))
    assert "2 of 9 epochs, for which the time sufficed, on 116 samples" in training_lines(stopped)[0]
    noise = replace(rewritten.over_repairs, task_interval=Interval(-1.0, 9.0))
    unsure = replace(found, trainings=(replace(rewritten, over_repairs=noise),))
    assert "reach, which is within noise" in training_lines(unsure)[0] and training_commands(unsure) == ()


def test_the_figure_is_that_of_the_command_that_is_proposed() -> None:
    rewritten = labelled()[1]
    refit = refit_subject(SESSION, subject(), data(), SCHEME, "b", rewritten.blocks)
    found = train_model(SESSION, refit.subject, data(), SCHEME, QatOptions(QUICK), begun=refit.experiment)
    assert found is not None and found.result.after is not None and rewritten.after is not None
    judged = found.result.after.task.judged
    assert judged is not None and judged.simulated == rewritten.after.task_value
    assert found.result.training.best == rewritten.best


def test_without_labels_both_go_by_the_float_network_as_it_was_read() -> None:
    found = unlabelled("classify")
    for trial in trained(found):
        assert trial.helps and trial.recovery is not None and trial.after is not None
        judged = trial.after.task.judged
        assert judged is not None and judged.criterion.is_against_float
        assert judged.reference == 100.0 and judged.simulated > found[1].before.task_value + 20.0
        assert trial.float_cost is not None and trial.float_cost.unit == "pp"


def test_outputs_that_nothing_but_their_sqnr_judges() -> None:
    found = unlabelled(None)
    before = found[1].before
    assert before.task.judged is None
    for trial in trained(found):
        assert trial.recovery is not None and trial.after is not None and trial.over_repairs is not None
        assert trial.after.output_sqnr_db > before.output_sqnr_db + 1.0
        assert trial.recovery.recovered_db > 2.0 and trial.recovery.db_interval.low > 0.0
        assert trial.beside_repairs == trial.over_repairs.recovered_db and trial.helps
