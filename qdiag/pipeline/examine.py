"""The first part of every diagnosis: one graph, one calibration pass, one paired pass, all that detectors look at."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from qdiag.batches import Datasets
from qdiag.core.bn import BatchNormAudit
from qdiag.core.facts import LayerFacts
from qdiag.core.measurement import Measurement
from qdiag.core.progress import Progress
from qdiag.core.scheme import FLOAT_BITS, QuantScheme
from qdiag.errors import QdiagError
from qdiag.pipeline.bn_audit import audit_batchnorms
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
    subject: Subject, datasets: Datasets, scheme: QuantScheme, progress: Progress, watch: Stopwatch, *, device: str
) -> Begun:
    """Captures, folds and calibrates; the subject is left as it was.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    original, datasets = datasets, inputs_for(subject, datasets)
    with watch.stage("capture"), naming(original.calibration):
        progress.start("capture", None)
        where = resolve_device(device)
        prepared = prepare(subject, first_batch(datasets.calibration), fold=scheme.fold_batchnorm, device=where)
        progress.finish()
    with watch.stage("calibrate"):
        observations = observe(prepared.network, datasets.calibration, scheme, progress)
    with watch.stage("plan"):
        case = open_case(
            prepared.program,
            prepared.network,
            scheme,
            observations,
            calibration=datasets.calibration,
            measured=datasets.evaluation,
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
) -> Examination:
    """Captures, folds, calibrates and measures; the subject is left as it was.

    Args:
        announce: called with the case as soon as it is known, before the long part begins.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    begun = begin(subject, datasets, scheme, progress, watch, device=device)
    case, prepared, observations = begun.case, begun.prepared, begun.case.observations
    original, datasets = datasets, begun.datasets
    if announce is not None:
        announce(case)
    with watch.stage("simulate"), naming(original.evaluation):
        probe = LossProbe(case.network, case.plan)
        runner = FactRunner(case.network, [case.plan], probe)
        outputs, task = OutputErrors(case.network.program.output_names), Classification(keeps_outcomes=True)
        custom = UserMetric(getattr(metric, "__name__", "metric"), metric) if metric is not None else None
        sinks: list[BatchSink] = [outputs, task, *([custom] if custom else [])]
        run_paired(runner, datasets.evaluation, sinks, progress)
    with watch.stage("facts"):
        facts = gather_facts(case, runner.pass_facts())
        batchnorms, notes = _audit(subject, scheme)
    measurement = Measurement(
        model=model_info(subject),
        data=data_info(datasets, seed),
        scheme=scheme,
        capture=prepared.info,
        records=op_records(prepared, case.plan, observations, runner, probe.records()),
        outputs=outputs.records(),
        task=task.result((custom.score(),) if custom else ()),
        float_ops=float_ops(prepared, case.plan),
        stages=watch.stages,
        versions=versions(),
    )
    measurement = replace(measurement, notes=notes_on(measurement, original))
    return Examination(case, measurement, facts, batchnorms, notes)


def _audit(subject: Subject, scheme: QuantScheme) -> tuple[BatchNormAudit | None, tuple[str, ...]]:
    """The audit of the subject's BatchNorms; a model that it cannot read is no reason to stop."""
    bits = scheme.weights.bits
    try:
        audit = audit_batchnorms(subject, bits=8 if bits == FLOAT_BITS else bits)
    except QdiagError as error:
        return None, (f"the BatchNorms were not audited: {error}",)
    return (audit if audit.records else None), ()
