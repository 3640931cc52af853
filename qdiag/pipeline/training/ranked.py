"""Training as a repair of its own in a diagnosis: tried where repairs without training leave something."""

import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from qdiag.batches import Batches, Datasets
from qdiag.capture.rewrites.separable import SeparableBlock, find_separable
from qdiag.capture.state import own_randomness
from qdiag.core.causes.codes import code_of
from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.ranking import Ranking
from qdiag.core.causes.training_trial import TrainingTrial
from qdiag.errors import QdiagError
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.training.overlap import shared_count
from qdiag.pipeline.training.qat import QatOptions, divided, train_experiment
from qdiag.pipeline.training.refit_separable import refit_case
from qdiag.pipeline.training.some_samples import EveryNth
from qdiag.simulate.case import Case
from qdiag.simulate.changes import without_quantizers
from qdiag.simulate.session import Session
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.simulate.task.scoring import Scored, float_cost, recovery
from qdiag.train.network.parameters import parameter_names
from qdiag.train.settings import TrainingSettings

_PROBE_UPDATES = 4
"""So many updates tell how long an epoch takes."""
_OF_WEIGHTS = ("weights", "normalization")
"""Families of findings that a friendly separable convolution is made against."""


@dataclass(frozen=True)
class RankedTraining:
    """What a diagnosis may train, and for how long.

    Attributes:
        minutes: for each training: no epoch begins that would go beyond them, the first one aside.
        samples: to train on; None takes those that the diagnosis calibrates on.
        settings: how to train; its epochs are the most that are made.
        layers: glob patterns of layers that may move; all when empty.
        words: of a command line that trains on the same samples.
    """

    minutes: float
    samples: Batches | None = None
    request: TaskRequest | None = None
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    layers: Sequence[str] = ()
    words: tuple[str, ...] = ()


def ranked_trainings(
    session: Session, experiment: Experiment, ranking: Ranking, repaired: Case, options: RankedTraining | None
) -> tuple[TrainingTrial, ...]:
    """What training recovers, or why it was not tried; nothing where nobody asked, and nothing is lost.

    The measured samples are those of the diagnosis, and none of them is trained on. The subject stays as it was.

    Args:
        repaired: the network with all repairs of the sequence.

    Raises:
        QdiagError: the training samples cannot be used.
    """
    if ranking.harm.verdict != "harmed":
        return (TrainingTrial("qat", "no loss"),) if options is not None else ()
    if harm_of(ranking.repaired).verdict == "healthy":
        return (TrainingTrial("qat", "nothing left"),) if options is not None else ()
    if options is None:
        return (TrainingTrial("qat", "not allowed"),) if experiment.deployed is None else ()
    training, reason = _training(session, experiment, options)
    if training is None:
        return (TrainingTrial("qat", "refused", reason),)
    [before, after], _ = session.score([experiment.case, repaired], "the network as it was read, and repaired")
    bench = _Bench(session, training, before, after, options)
    case = training.case
    first = bench.tried(TrainingTrial("qat"), case, parameter_names(training.subject))
    blocks = blocks_pointed_at(case, ranking)
    return (first, bench.refitted(blocks, first.epoch_s)) if blocks else (first,)


def blocks_pointed_at(case: Case, ranking: Ranking) -> tuple[SeparableBlock, ...]:
    """Separable convolutions at whose depthwise weights something was found."""
    layers = {node: layer.name for layer in case.network.graph.layers for node in layer.nodes}
    findings = [finding for finding in ranking.findings if code_of(finding.code).family in _OF_WEIGHTS]
    places = {site.layer for finding in findings for site in finding.sites}
    return tuple(block for block in find_separable(case.program) if layers.get(block.depthwise) in places)


def _training(session: Session, experiment: Experiment, options: RankedTraining) -> tuple[Experiment | None, str]:
    """The network calibrated on what is trained on; None with the reason why there is nothing to train on."""
    datasets = experiment.datasets
    if experiment.deployed is not None:
        return None, "what is quantized is as a file says, and training goes by a scheme"
    if datasets.calibration is datasets.evaluation and options.samples is None:
        return None, "too few samples to train on some and measure others"
    source = options.samples or datasets.calibration
    if source.is_data_free:
        return None, "drawn inputs are no samples to train on"
    training = experiment
    if options.samples is not None:
        apart = Datasets(options.samples, datasets.evaluation, datasets.split)
        training = begin(session, experiment.subject, apart, experiment.case.scheme, options.request)
    with session.stage("compare the samples"):
        shared = shared_count(training.case.calibration, training.case.measured)
    if shared:
        count = training.case.measured.sample_count
        return None, f"{shared} of the {count} measured samples are among those to train on"
    return training, ""


@dataclass(frozen=True)
class _Bench:
    """Trainings of one network, each measured beside the same two.

    Attributes:
        training: what is trained, on its calibration samples. before, repaired: without training.
    """

    session: Session
    training: Experiment
    before: Scored
    repaired: Scored
    options: RankedTraining

    def refitted(self, blocks: Sequence[SeparableBlock], epoch_s: float) -> TrainingTrial:
        """The same training after these separable convolutions were rewritten."""
        chosen = [block for block in blocks if block.refused is None]
        names = tuple(block.name for block in chosen)
        trial = TrainingTrial("refit_separable", epoch_s=epoch_s, variant="b", blocks=names)
        if not chosen:
            reasons = "; ".join(f"{block.name}: {block.refused}" for block in blocks)
            return replace(trial, not_trained="refused", detail=reasons)
        old = self.training.case
        try:
            case = refit_case(self.session, old, chosen)
        except QdiagError as error:
            return replace(trial, not_trained="refused", detail=str(error))
        made = {*case.program.parameter_names.values()} - {*old.program.parameter_names.values()}
        return self.tried(trial, case, {*parameter_names(self.training.subject), *made})

    def tried(self, trial: TrainingTrial, case: Case, parameters: Collection[str]) -> TrainingTrial:
        """One training, and what it recovers; what went wrong is a reason, and no end."""
        session, options = self.session, self.options
        until = time.perf_counter() + 60.0 * options.minutes
        experiment = replace(self.training, case=case)
        trial = replace(trial, sample_count=divided(case)[0].sample_count)
        try:
            if math.isnan(trial.epoch_s):
                trial = replace(trial, epoch_s=self._epoch_s(experiment, parameters))
            planned = min(options.settings.epochs, int((until - time.perf_counter()) / trial.epoch_s))
            if planned < 1:
                return replace(trial, not_trained="too slow")
            how = QatOptions(replace(options.settings, epochs=planned), options.layers)
            found = train_experiment(session, experiment, how, parameters=parameters, until=until)
        except QdiagError as error:
            return replace(trial, not_trained="refused", detail=str(error))
        record = found.record
        trial = replace(trial, epochs=len(record.epochs) - 1, planned=planned, best=record.best, seconds=record.seconds)
        if record.best == 0:
            return replace(trial, not_trained="no better")
        [after, in_float], _ = session.score([found.case, without_quantizers(found.case)], "the trained network")
        return replace(
            trial,
            after=after.score,
            recovery=recovery(before=self.before, after=after),
            over_repairs=recovery(before=self.repaired, after=after),
            float_cost=float_cost(in_float),
            options=options.words,
        )

    def _epoch_s(self, experiment: Experiment, parameters: Collection[str]) -> float:
        """Seconds of one epoch, from a few updates of a training that is thrown away."""
        session, settings = self.session, self.options.settings
        samples, judges = divided(experiment.case)
        step = max(1, samples.sample_count // (_PROBE_UPDATES * settings.batch_size))
        few = EveryNth(samples, step) if step > 1 else samples
        probe = QatOptions(replace(settings, epochs=1), self.options.layers)
        with own_randomness(session.seed):
            found = train_experiment(session, experiment, probe, samples=few, judges=few, parameters=parameters)
        judging, both = (epoch.seconds for epoch in found.record.epochs)
        return epoch_seconds(
            judging=judging, both=both, few=few.sample_count, trained=samples.sample_count, judged=judges.sample_count
        )


def epoch_seconds(*, judging: float, both: float, few: int, trained: int, judged: int) -> float:
    """What an epoch takes, from one on a few samples: an update costs several times as much as judging.

    Args:
        judging, both: seconds in which `few` samples were judged, and were trained on and judged.
        trained, judged: samples of the epoch that is asked about.
    """
    return (max(0.0, both - judging) * trained + judging * judged) / few
