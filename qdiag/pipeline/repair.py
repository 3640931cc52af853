"""`qdiag repair`: repairs of the weights, one on top of the other, on a copy, and what they do to the network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from math import nan

from torch import Tensor

from qdiag.batches import Datasets
from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.repair import FLOAT_BOUND, FloatChange, ModelRepair, RepairStep, check_written
from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord, DeadChannel
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.value_ranges.stored_range import StoredRange
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError, RepairRefused
from qdiag.pipeline.begin import begin
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.facts import model_info
from qdiag.pipeline.float_change import float_change, keep_within, too_much_words
from qdiag.pipeline.float_probe import FloatProbe
from qdiag.pipeline.preparation.inputs import naming
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.repairs.base import RepairContext, Treatment
from qdiag.repairs.overlay import with_changes
from qdiag.repairs.stored_weights import check_stored
from qdiag.repairs.table import REPAIRS
from qdiag.repairs.weights.reset_variance import without_channels
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_tensors, with_whole_observations
from qdiag.simulate.session import PAIRED, Session
from qdiag.simulate.size import network_size
from qdiag.simulate.surroundings import versions
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.subject import Subject

Changes = Mapping[str, Tensor]


@dataclass(frozen=True)
class RepairOptions:
    """What to repair.

    Attributes:
        repairs: names, in the order in which they are made; see `qdiag.core.causes.repair_traits.WRITTEN`.
        layers: glob patterns of layers with weights; all when empty.
        batchnorms: glob patterns of BatchNorms in their stead, for repairs of their channels; None without.
        threshold: variance / eps up to which a channel is dead; None leaves that to the rule of the audit.
        float_bound: what moves a float output by more than this share of its largest value is refused.
    """

    repairs: Sequence[str]
    layers: Sequence[str] = ()
    batchnorms: Sequence[str] | None = None
    threshold: float | None = None
    float_bound: float = FLOAT_BOUND


def repair_model(
    session: Session,
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    options: RepairOptions,
    request: TaskRequest | None = None,
) -> tuple[ModelRepair, Changes]:
    """The repairs with their proof, and the tensors to be written; the subject is left as it was.

    Each repair is tried on top of those that were made before it: the float network runs beside a repaired copy on the
    measured data, and what moves its output beyond the bound is refused: single channels where the repair is of
    channels, the repair as a whole otherwise. Then the quantized network is measured before and after.

    Raises:
        ConfigError: a repair that no checkpoint can hold, or patterns that fit no layer.
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    check_written(options.repairs)
    experiment = begin(session, subject, datasets, scheme, request)
    stages = {"repair": 2.5 * len(options.repairs), "measure before": PAIRED, "measure after": PAIRED + 1.0}
    session.expect_passes(experiment.case, stages)
    audit = audited(audit_batchnorms(subject, program=experiment.case.program), options.threshold)
    probe = FloatProbe(subject, experiment.case.program, experiment.case.tasks, session.device)
    stored = experiment.capture.stored_ranges
    repairing = Repairing(experiment.case, RepairContext(audit, session=session), probe, options, stored)
    with session.watch.stage("repair"), naming(datasets.evaluation):
        steps = tuple(repairing.make(name) for name in options.repairs)
    result = ModelRepair(
        model=experiment.model,
        layers=tuple(options.layers if options.batchnorms is None else options.batchnorms),
        float_bound=options.float_bound,
        steps=steps,
        threshold=options.threshold,
        float_change=repairing.change,
        size=network_size(experiment.case),
        versions=versions(),
    )
    if not repairing.changes:
        return replace(result, stages=session.watch.stages), {}
    changed = with_changes(subject, repairing.changes)
    treated = replace(
        experiment, subject=changed, case=with_whole_observations(session, repairing.written), model=model_info(changed)
    )
    measured: list[Measurement] = []
    for which, one in (("before", experiment), ("after", treated)):
        with session.watch.stage(f"measure {which}"):
            measured.append(measure_experiment(session.timed_anew(), one))
    result = replace(result, before=measured[0], after=measured[1], stages=session.watch.stages)
    return result, repairing.changes


def audited(audit: BatchNormAudit, threshold: float | None) -> BatchNormAudit:
    """The audit with the threshold in place of its rule for dead channels, where there is one."""
    if threshold is None:
        return audit

    def judged(record: BatchNormRecord) -> BatchNormRecord:
        dead = tuple(
            DeadChannel(c, "near-zero variance", v, v / record.eps, nan, nan, nan, record.gain[c], nan, nan)
            for c, v in enumerate(record.variance)
            if v <= threshold * record.eps
        )
        return replace(record, dead=dead)

    return replace(audit, records=tuple(map(judged, audit.records)))


def chosen_batchnorms(audit: BatchNormAudit, patterns: Sequence[str]) -> dict[str, BatchNormRecord]:
    """Records by the names of their BatchNorms, each once however often it is called; all without patterns.

    Raises:
        ConfigError: no BatchNorm has a name that fits.
    """
    by_name = {record.name: record for record in reversed(audit.records)}
    names = list(dict.fromkeys(record.name for record in audit.records))
    chosen = [name for name in names if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]
    if patterns and not chosen:
        raise ConfigError(
            f"no BatchNorm is called {' or '.join(patterns)}",
            at="`layers`",
            hint=f"they are called {', '.join(names[:6])}" if names else "the network has none",
        )
    return {name: by_name[name] for name in chosen}


class Repairing:
    """The case as far as it is repaired, and the tensors that make it so.

    Attributes:
        case: repaired. written: the case as the tensors alone make it: a repair may hold in its case's plan what they
            hold.
    """

    def __init__(
        self,
        case: Case,
        context: RepairContext,
        probe: FloatProbe,
        options: RepairOptions,
        stored: Sequence[StoredRange],
    ) -> None:
        self.case, self._context, self._probe, self._stored = case, context, probe, stored
        self._bound = options.float_bound
        self._sites = _sites(case, context, options)
        self.written = case
        self.changes: dict[str, Tensor] = {}
        self.change: FloatChange | None = None

    def make(self, name: str) -> RepairStep:
        """Makes one repair, or says why not."""
        refused = RepairStep(name)
        try:
            for headroom, treatment in self._treatments(name):
                check_stored(self._stored, self.case, treatment.case)
                step, change, kept = self._judged(RepairStep(name, headroom=headroom), treatment)
                if kept is not None:
                    self._take(kept, change)
                    return step
                refused = step
        except RepairRefused as reason:
            refused = refused if refused.refused is not None else replace(refused, refused=_words(reason))
        return refused

    def _treatments(self, name: str) -> Iterator[tuple[float | None, Treatment]]:
        """Ways to make a repair, the one that changes most first."""
        repair = REPAIRS[name]
        if repair.ways is not None:
            yield from repair.ways(self.case, self._sites, self._context)
            return
        treatment = repair.apply(self.case, self._sites, self._context)
        if not treatment.tensors:
            raise RepairRefused("the model has no bias or beta of its own that could hold it")
        yield None, treatment

    def _judged(self, step: RepairStep, treatment: Treatment) -> tuple[RepairStep, FloatChange, Treatment | None]:
        """The treatment as far as the float network bears it; None when it bears nothing of it."""
        session, measured = self._context.session, self.case.measured
        rows, reasons = treatment.batchnorms, dict[tuple[str, int], str]()
        if treatment.edits:
            kept = keep_within(session, self._probe, measured, treatment.edits, self._bound, base=self.changes)
            change, moved = kept.change, max(kept.refused.values(), default=0.0) if not kept.edits else 0.0
            if kept.refused:
                reasons = {place: too_much_words(share, self._bound) for place, share in kept.refused.items()}
                sites = [FindingSite(edit.layer, (edit.channel,)) for edit in kept.edits]
                treatment = REPAIRS[step.repair].apply(self.case, sites, self._context) if sites else treatment
        else:
            change = float_change(session, self._probe, measured, {**self.changes, **treatment.tensors})
            moved = change.relative_delta
        assert self._context.batchnorms is not None
        step = replace(step, batchnorms=without_channels(rows, self._context.batchnorms, reasons))
        if moved > self._bound:
            refused = f"{too_much_words(moved, self._bound)} (`float_bound`)"
            return replace(step, relative_delta=moved, refused=refused), change, None
        step = replace(
            step, layers=treatment.layers, tensors=tuple(treatment.tensors), relative_delta=change.relative_delta
        )
        return step, change, treatment

    def _take(self, treatment: Treatment, change: FloatChange) -> None:
        self.case, self.change = treatment.case, change
        self.changes = {**self.changes, **treatment.tensors}
        if treatment.moves_float:
            self.written = treatment.case
        else:  # there the plan holds it, and a checkpoint has no plan
            self.written = with_tensors(self._context.session, self.written, treatment.tensors, recalibrate=True)


def _words(reason: RepairRefused) -> str:
    where = f"{reason.at}: " if reason.at else ""
    hint = f" ({reason.hint})" if reason.hint else ""
    return f"{where}{reason.message}{hint}"


def _sites(case: Case, context: RepairContext, options: RepairOptions) -> list[FindingSite]:
    """The places that the patterns choose; none without patterns, which stands for all."""
    if options.batchnorms is not None and context.batchnorms is not None:
        records = chosen_batchnorms(context.batchnorms, options.batchnorms).values()
        return [FindingSite(record.name, record.dead_channels) for record in records if record.dead]
    patterns = options.layers
    names = [layer.name for layer in case.network.graph.layers if layer.weight is not None]
    chosen = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if patterns and not chosen:
        raise ConfigError(
            f"no layer with weights is called {' or '.join(patterns)}",
            at="`layers`",
            hint=f"they are called {', '.join(names[:6])}" if names else "the network has none",
        )
    return [FindingSite(name) for name in chosen]
