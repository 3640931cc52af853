"""The first part of every diagnosis: one graph, one calibration pass, one paired pass, all that detectors look at."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from qdiag.batches import Datasets
from qdiag.core.bn import BatchNormAudit
from qdiag.core.facts import LayerFacts
from qdiag.core.measurement import Measurement, OutputRecord
from qdiag.core.progress import Progress
from qdiag.core.records import OpRecord
from qdiag.core.scheme import FLOAT_BITS, QuantScheme
from qdiag.core.task import TaskResult
from qdiag.errors import QdiagError
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.cache import keeper_for
from qdiag.pipeline.facts import Stopwatch, data_info, model_info, resolve_device, versions
from qdiag.pipeline.inputs import first_batch, inputs_for, naming
from qdiag.pipeline.notes import notes_on
from qdiag.pipeline.prepare import Prepared, prepare
from qdiag.pipeline.sqnr import float_ops, op_records
from qdiag.simulate.case import Case, observe, open_case
from qdiag.simulate.fact_runner import FactRunner
from qdiag.simulate.layer_facts import gather_facts
from qdiag.simulate.losses import LossProbe
from qdiag.simulate.paired import BatchSink, run_paired
from qdiag.simulate.pass_cache import Codec, PassCache
from qdiag.simulate.pass_values import json_codec
from qdiag.simulate.task import Classification, OutputErrors, UserMetric
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


@dataclass(frozen=True)
class Begun:
    """A captured and calibrated network; `datasets` are the data as it takes them."""

    case: Case
    prepared: Prepared
    datasets: Datasets


def begin(
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    progress: Progress,
    watch: Stopwatch,
    *,
    device: str,
    cache: PassCache | None = None,
) -> Begun:
    """Captures, folds and calibrates; the subject is left as it was.

    Args:
        cache: where finished passes are kept; the case takes it along.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    original, datasets = datasets, inputs_for(subject, datasets)
    with watch.stage("capture"), naming(original.calibration):
        progress.start("capture", None)
        where = resolve_device(device)
        prepared = prepare(subject, first_batch(datasets.calibration), fold=scheme.fold_batchnorm, device=where)
        progress.finish()
    passes = keeper_for(cache, subject, where)
    with watch.stage("calibrate"):
        observations = observe(prepared.network, datasets.calibration, scheme, progress, passes)
    with watch.stage("plan"):
        case = open_case(
            prepared.program,
            prepared.network,
            scheme,
            observations,
            calibration=datasets.calibration,
            measured=datasets.evaluation,
            passes=passes,
        )
    return Begun(case, prepared, datasets)


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
    case, prepared = begun.case, begun.prepared
    original, datasets = datasets, begun.datasets
    if announce is not None:
        announce(case)
    with watch.stage("simulate"), naming(original.evaluation):
        seen = _look(case, prepared, metric, progress)
    with watch.stage("audit"):
        batchnorms, notes = _audit(subject, scheme)
    measurement = Measurement(
        model=model_info(subject),
        data=data_info(datasets, seed),
        scheme=scheme,
        capture=prepared.info,
        records=seen.records,
        outputs=seen.outputs,
        task=seen.task,
        float_ops=float_ops(prepared, case.plan),
        stages=watch.stages,
        versions=versions(),
    )
    measurement = replace(measurement, notes=notes_on(measurement, original))
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
    probe = LossProbe(case.network, case.plan)
    runner = FactRunner(case.network, [case.plan], probe)
    outputs, task = OutputErrors(case.network.program.output_names), Classification(keeps_outcomes=True)
    custom = UserMetric(getattr(metric, "__name__", "metric"), metric) if metric is not None else None
    sinks: list[BatchSink] = [outputs, task, *([custom] if custom else [])]
    run_paired(runner, case.measured, sinks, progress)
    return _Seen(
        op_records(prepared, case.plan, case.observations, runner, probe.records()),
        outputs.records(),
        task.result((custom.score(),) if custom else ()),
        gather_facts(case, runner.pass_facts()),
    )


def _audit(subject: Subject, scheme: QuantScheme) -> tuple[BatchNormAudit | None, tuple[str, ...]]:
    """The audit of the subject's BatchNorms; a model that it cannot read is no reason to stop."""
    bits = scheme.weights.bits
    try:
        audit = audit_batchnorms(subject, bits=8 if bits == FLOAT_BITS else bits)
    except QdiagError as error:
        return None, (f"the BatchNorms were not audited: {error}",)
    # its wall times are part of the stage around it
    return (replace(audit, stages=()) if audit.records else None), ()
