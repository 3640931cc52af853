"""Training as a repair of its own in a diagnosis: tried where repairs without training leave something."""

import math
from dataclasses import dataclass, field, replace

from qdiag.batches import Batches, Datasets
from qdiag.capture.state import own_randomness
from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.ranking import Ranking
from qdiag.core.causes.score import FloatCost, Score
from qdiag.core.causes.training_trial import TrainingTrial
from qdiag.core.measures.task import loss_between
from qdiag.errors import QdiagError
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.float_change import float_change
from qdiag.pipeline.float_probe import FloatProbe
from qdiag.pipeline.training.qat import QatOptions, divided, train_experiment
from qdiag.pipeline.training.some_samples import EveryNth
from qdiag.simulate.session import Session
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.simulate.task.scoring import recovery
from qdiag.train.loop import Trained
from qdiag.train.settings import TrainingSettings

_PROBE_UPDATES = 4
"""So many updates tell how long an epoch takes."""


@dataclass(frozen=True)
class RankedTraining:
    """What a diagnosis may train, and for how long.

    Attributes:
        minutes: for all epochs, by the time that some updates took before.
        samples: to train on; None takes those that the diagnosis calibrates on.
        settings: how to train; its epochs are the most that are made.
        words: of a command line that trains on the same samples.
    """

    minutes: float
    samples: Batches | None = None
    request: TaskRequest | None = None
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    words: tuple[str, ...] = ()


def ranked_trainings(
    session: Session, experiment: Experiment, ranking: Ranking, options: RankedTraining | None
) -> tuple[TrainingTrial, ...]:
    """What training gives back, or why it was not tried; nothing where nobody asked, and nothing is lost.

    The measured samples are those of the diagnosis, and none of them is trained on. The subject stays as it was.

    Raises:
        QdiagError: the training samples cannot be used.
    """
    if ranking.harm.verdict != "harmed":
        return (TrainingTrial("qat", "no loss"),) if options is not None else ()
    if harm_of(ranking.repaired).verdict == "healthy":
        return (TrainingTrial("qat", "nothing left"),) if options is not None else ()
    if options is None:
        return (TrainingTrial("qat", "not allowed"),)
    if experiment.datasets.calibration is experiment.datasets.evaluation and options.samples is None:
        return (TrainingTrial("qat", "refused", "too few samples to train on some and measure others"),)
    source = options.samples or experiment.datasets.calibration
    if source.is_data_free:
        return (TrainingTrial("qat", "refused", "drawn inputs are no samples to train on"),)
    training = experiment
    if options.samples is not None:
        datasets = Datasets(options.samples, experiment.datasets.evaluation, experiment.datasets.split)
        training = begin(session, experiment.subject, datasets, experiment.case.scheme, options.request)
    return (_trained(session, experiment, training, ranking, options),)


def _trained(
    session: Session, experiment: Experiment, training: Experiment, ranking: Ranking, options: RankedTraining
) -> TrainingTrial:
    trial = TrainingTrial("qat", sample_count=divided(training.case)[0].sample_count)
    try:
        trial = replace(trial, epoch_s=_epoch_s(session, training, options.settings))
        epochs = min(options.settings.epochs, int(60.0 * options.minutes / trial.epoch_s))
        if not epochs:
            return replace(trial, not_trained="too slow")
        found = train_experiment(session, training, QatOptions(replace(options.settings, epochs=epochs)))
    except QdiagError as error:
        return replace(trial, not_trained="refused", detail=str(error))
    trial = replace(trial, epochs=epochs, best=found.record.best, seconds=found.record.seconds)
    if found.record.best == 0:
        return replace(trial, not_trained="no better")
    [before], _ = session.score([experiment.case], "the network as it was read")
    [after], _ = session.score([found.case], "the trained network")
    return replace(
        trial,
        after=after.score,
        recovery=recovery(before=before, after=after),
        over_repairs=_over(ranking.repaired, after.score),
        float_cost=_float_cost(session, training, found),
        options=options.words,
    )


def _epoch_s(session: Session, training: Experiment, settings: TrainingSettings) -> float:
    """Seconds of one epoch, from a few updates of a training that is thrown away."""
    samples, judges = divided(training.case)
    step = max(1, samples.sample_count // (_PROBE_UPDATES * settings.batch_size))
    few = EveryNth(samples, step) if step > 1 else samples
    probe = QatOptions(replace(settings, epochs=1))
    with own_randomness(session.seed):
        record = train_experiment(session, training, probe, samples=few, judges=few).record
    count = samples.sample_count + judges.sample_count
    return record.epochs[-1].seconds * count / (2 * few.sample_count)


def _over(repaired: Score, trained: Score) -> float:
    """What the trained network has over the repaired one."""
    judged = trained.task.judged
    if judged is None or math.isnan(repaired.task_value):
        return trained.output_sqnr_db - repaired.output_sqnr_db
    return loss_between(judged.criterion, reference=trained.task_value, simulated=repaired.task_value)


def _float_cost(session: Session, training: Experiment, found: Trained) -> FloatCost:
    case = training.case
    probe = FloatProbe(training.subject, case.program, case.tasks, session.device)
    change = float_change(session, probe, case.measured, found.changes)
    judged = change.task.judged
    if judged is None:
        return FloatCost(change.relative_delta)
    return FloatCost(change.relative_delta, judged.loss, judged.criterion.change_unit, judged.small)
