"""The first part of every diagnosis: one graph, one calibration pass, one paired pass, all that detectors look at."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from qdiag.batches import Datasets
from qdiag.core.measures.bn import BatchNormAudit
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.measurement import Measurement, OutputRecord
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.task import TaskResult
from qdiag.core.progress import Progress
from qdiag.core.scheme import FLOAT_BITS, QuantScheme
from qdiag.errors import QdiagError
from qdiag.pipeline.begin import begin, measurement_of, score_pass
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.facts import Stopwatch
from qdiag.pipeline.inputs import naming
from qdiag.pipeline.op_records import op_records
from qdiag.pipeline.prepare import Prepared
from qdiag.simulate.case import Case
from qdiag.simulate.facts.layer import gather_facts
from qdiag.simulate.facts.observer import FactObserver
from qdiag.simulate.passes.paired import ErrorObserver
from qdiag.simulate.passes.pass_cache import Codec, PassCache
from qdiag.simulate.passes.pass_values import json_codec
from qdiag.simulate.sweeps.losses import LossObserver
from qdiag.subject import Subject


@dataclass(frozen=True)
class Examination:
    """A network measured layer by layer, ready for detectors and repairs.

    Attributes:
        batchnorms: None when the audit had nothing to say about this model, then `notes` says why.
    """

    case: Case
    measurement: Measurement
    facts: tuple[LayerFacts, ...]
    batchnorms: BatchNormAudit | None
    notes: tuple[str, ...] = ()


def examine(
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    progress: Progress,
    watch: Stopwatch,
    *,
    device: str = "cpu",
    metric: object | None = None,
    seed: int = 0,
    announce: Callable[[Case], None] | None = None,
    cache: PassCache | None = None,
) -> Examination:
    """Captures, folds, calibrates and measures; the subject is left as it was.

    Args:
        announce: called with the case as soon as it is known, before the long part begins.
        cache: see `begin`.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    begun = begin(subject, datasets, scheme, progress, watch, device=device, cache=cache)
    case = begun.case
    if announce is not None:
        announce(case)
    with watch.stage("simulate"), naming(datasets.evaluation):
        seen = _look(case, begun.prepared, metric, progress)
    with watch.stage("audit"):
        batchnorms, notes = _audit(subject, scheme)
    measurement = measurement_of(subject, begun, seen.records, seen.outputs, seen.task, watch, seed=seed)
    return Examination(case, measurement, seen.facts, batchnorms, notes)


@dataclass(frozen=True)
class _Seen:
    """What the paired pass measured."""

    records: tuple[OpRecord, ...]
    outputs: tuple[OutputRecord, ...]
    task: TaskResult
    facts: tuple[LayerFacts, ...]


_SEEN: Codec[_Seen] = json_codec(_Seen)


def _look(case: Case, prepared: Prepared, metric: object | None, progress: Progress) -> _Seen:
    """The paired pass, or what is kept of it; never with a metric of the user's, whose code may change unnoticed."""
    if metric is not None:
        return _paired_pass(case, prepared, metric, progress)
    return case.passes.finished(
        "examine",
        _SEEN,
        lambda: _paired_pass(case, prepared, None, progress),
        batches=[case.measured, case.calibration],
        depends_on=(case.network, case.plan, case.scheme),
    )


def _paired_pass(case: Case, prepared: Prepared, metric: object | None, progress: Progress) -> _Seen:
    errors, losses, facts = ErrorObserver(case.plan), LossObserver(case.network, case.plan), FactObserver()
    outputs, task = score_pass(case, [losses, facts, errors], metric, progress)
    records = op_records(prepared, case.plan, case.observations, errors.errors(), losses.records())
    return _Seen(records, outputs, task, gather_facts(case, facts.facts()))


def _audit(subject: Subject, scheme: QuantScheme) -> tuple[BatchNormAudit | None, tuple[str, ...]]:
    """The audit of the subject's BatchNorms; a model that it cannot read is no reason to stop."""
    bits = scheme.weights.bits
    try:
        audit = audit_batchnorms(subject, bits=8 if bits == FLOAT_BITS else bits)
    except QdiagError as error:
        return None, (f"the BatchNorms were not audited: {error}",)
    # its wall times are part of the stage around it
    return (replace(audit, stages=()) if audit.records else None), ()
