"""`qdiag qat`: the network trained with its quantizers in place, on a copy, and what that did to it."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from qdiag.batches import Batches, Datasets
from qdiag.capture.state import own_randomness
from qdiag.core.causes.training import ModelTraining
from qdiag.core.scheme import QuantScheme
from qdiag.errors import DataError
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.facts import model_info
from qdiag.pipeline.float_change import float_change
from qdiag.pipeline.float_probe import FloatProbe
from qdiag.pipeline.preparation.fixed_batches import FixedBatches
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.pipeline.training.overlap import shared_count
from qdiag.pipeline.training.some_samples import EveryNth
from qdiag.repairs.overlay import with_changes
from qdiag.simulate.case import Case
from qdiag.simulate.passes.fingerprints import Fingerprints, NoFingerprint
from qdiag.simulate.session import PAIRED, Session
from qdiag.simulate.surroundings import versions
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.subject import Subject
from qdiag.train.loop import Trained, Training, update_size
from qdiag.train.losses import choose_loss
from qdiag.train.moving import moving_names
from qdiag.train.network.parameters import parameter_names
from qdiag.train.processes import ONE, Processes
from qdiag.train.saved_state import StateFile
from qdiag.train.settings import TrainingSettings

Changes = Mapping[str, Tensor]

_HELD_OUT = 10
"""Every so manieth training sample is not trained on: the best epoch is chosen by them."""
_EPOCH = 5.5
"""Float passes over the training samples that an epoch takes, before the first one tells: forward, back, and the float
network, and the samples that are held out."""
_SHARED_BELOW = 4 * _HELD_OUT
"""With fewer samples than this, the best epoch is chosen by those that are trained on."""


@dataclass(frozen=True)
class QatOptions:
    """How to train.

    Attributes:
        layers: glob patterns of layers that may move; all when empty.
        loss: the user's own, `function(outputs, targets)`; by default the task decides.
        state: where the training is kept after each epoch, and found again; None keeps it nowhere.
        processes: those that train together; the first one measures.
    """

    settings: TrainingSettings
    layers: Sequence[str] = ()
    loss: Callable[..., Any] | None = None
    state: Path | None = None
    processes: Processes = ONE


@dataclass(frozen=True)
class TrainedModel:
    """A training with its proof.

    Attributes:
        changes: tensors to be written, by name; empty where no epoch was better than the network as it was read.
        scheme: with the ranges that belong to them.
        state: what was kept of it, which is not needed any more once the result is written.
    """

    result: ModelTraining
    changes: Changes
    scheme: QuantScheme
    state: StateFile | None


def train_model(
    session: Session,
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    options: QatOptions,
    request: TaskRequest | None = None,
    *,
    begun: Experiment | None = None,
) -> TrainedModel | None:
    """Trains on the calibration samples, and measures before and after on the others; the subject stays as it was.

    A tenth of the training samples is held out, and the epoch that is best on them is kept: the measured samples
    have no part in it.

    Args:
        begun: the subject as it is to be trained, where it was captured and calibrated already.

    Returns:
        None in all processes but the first.

    Raises:
        ConfigError: patterns that fit no layer, a state on disk of another training, or processes that differ.
        DataError: the inputs are drawn.
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    _check_not_drawn(datasets)
    experiment = begun or begin(session, subject, datasets, scheme, request)
    state, notes = _state(session, experiment, options)
    if not options.processes.is_first:
        train_experiment(session, experiment, options, state)
        return None
    share = experiment.case.calibration.sample_count / max(experiment.case.measured.sample_count, 1)
    stages = {
        "measure before": PAIRED,
        "train": _EPOCH * options.settings.epochs * share,
        "measure after": PAIRED + 1.0,
    }
    session.expect_passes(experiment.case, stages)
    with session.watch.stage("measure before"):
        before = measure_experiment(session.timed_anew(), experiment)
    trained = train_experiment(session, experiment, options, state)
    case, record = experiment.case, replace(trained.record, layers=tuple(options.layers))
    with session.stage("compare the samples"):
        shared, measured = shared_count(case.calibration, case.measured), case.measured.sample_count
    if shared == measured:
        notes = (*notes, "the samples that are measured are those that were trained on")
    elif shared:
        notes = (*notes, f"{shared} of the {measured} measured samples are among those that were trained on")
    result = ModelTraining(experiment.model, record, before, notes=notes, versions=versions())
    if record.best == 0:
        return TrainedModel(replace(result, stages=session.watch.stages), {}, trained.scheme, state)
    changed = with_changes(subject, trained.changes)
    treated = replace(experiment, subject=changed, case=trained.case, model=model_info(changed))
    with session.watch.stage("measure after"):
        after = measure_experiment(session.timed_anew(), treated)
        probe = FloatProbe(subject, case.program, case.tasks, session.device)
        change = float_change(session, probe, case.measured, trained.changes)
    result = replace(result, after=after, float_change=change, stages=session.watch.stages)
    return TrainedModel(result, trained.changes, trained.scheme, state)


def train_experiment(
    session: Session,
    experiment: Experiment,
    options: QatOptions,
    state: StateFile | None = None,
    *,
    samples: Batches | None = None,
    judges: Batches | None = None,
    parameters: Collection[str] | None = None,
    until: float = math.inf,
) -> Trained:
    """Trains on the calibration samples of an experiment, which is left as it was.

    Args:
        samples, judges: what is trained on, and what the best epoch is chosen by, where `divided` does not say so.
        parameters: names of all parameters, where they are not those of the subject. until: see `Training`.

    Raises:
        ConfigError: patterns that fit no layer. SimulationError: the training diverged.
    """
    case, settings = experiment.case, options.settings
    own = divided(case)
    training = Training(
        session=session,
        case=case,
        settings=settings,
        loss=choose_loss(case.tasks, distill=settings.distill, function=options.loss),
        samples=samples or own[0],
        judges=judges or own[1],
        moving=moving_names(case, parameters or parameter_names(experiment.subject), options.layers),
        state=state,
        processes=options.processes,
        until=until,
    )
    training.stage = "train"
    with session.watch.stage(training.stage), own_randomness(session.seed):
        return training.run()


def _check_not_drawn(datasets: Datasets) -> None:
    """A network that is trained on drawn inputs learns what they are like, which is not what it is for."""
    for part in (datasets.calibration, datasets.evaluation):
        if part.is_data_free:
            raise DataError(
                "drawn inputs are no samples to train on",
                at=part.source,
                hint="give samples of what the network is for",
            )


def divided(case: Case) -> tuple[Batches, Batches]:
    """What is trained on, and what the best epoch is chosen by."""
    batches, batch_size = case.calibration, case.program.batch_size
    if batches.sample_count < _SHARED_BELOW:
        return batches, batches
    parts: list[Batches] = [EveryNth(batches, _HELD_OUT, is_rest=True), EveryNth(batches, _HELD_OUT)]
    if batch_size is not None:
        parts = [FixedBatches(part, batch_size) for part in parts]
        if not parts[1].sample_count:
            return batches, batches
    return parts[0], parts[1]


def _state(session: Session, experiment: Experiment, options: QatOptions) -> tuple[StateFile | None, tuple[str, ...]]:
    """Where the training is kept, under a key of all that decides it, which all processes have to agree on."""
    processes = options.processes
    if options.state is None and processes.count == 1:
        return None, ()
    prints, case = Fingerprints(), experiment.case
    try:
        parts = (prints.of(case.network), prints.of(case.plan), prints.of_batches(case.calibration))
    except NoFingerprint:
        processes.check_alike("", "network, data or ranges")
        return None, ("the training cannot go on after a kill: nothing tells whether the data are the same",)
    own = (options.settings, tuple(options.layers), options.loss is not None, session.seed, experiment.model.digest)
    size = update_size(case, options.settings, processes)
    key = repr((*parts, *own, size))
    processes.check_alike(key, "network, data, ranges or settings")
    return (StateFile(options.state, key) if options.state is not None else None), ()
