"""How every run begins, and how its measurement is put together at the end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qdiag.batches import Datasets
from qdiag.core.measures.measurement import Measurement, OutputRecord
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.task import TaskResult
from qdiag.core.progress import Progress
from qdiag.core.scheme import QuantScheme
from qdiag.pipeline.cache import keeper_for
from qdiag.pipeline.facts import Stopwatch, data_info, model_info, resolve_device, versions
from qdiag.pipeline.fixed_batches import in_batches_of
from qdiag.pipeline.inputs import inputs_for, naming
from qdiag.pipeline.notes import notes_on
from qdiag.pipeline.op_records import float_ops
from qdiag.pipeline.prepare import Prepared, prepare
from qdiag.simulate.case import Case, observe, open_case
from qdiag.simulate.passes.lanes import SIMULATED
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.pass_cache import PassCache
from qdiag.simulate.passes.runner import BatchSink, LaneRunner, run_batches
from qdiag.simulate.task.counts import Classification, OutputErrors, UserMetric
from qdiag.subject import Subject


@dataclass(frozen=True)
class Begun:
    """A captured and calibrated network; `datasets` are the data as it takes them, `given` as they were given."""

    case: Case
    prepared: Prepared
    datasets: Datasets
    given: Datasets


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
        sources = (datasets.calibration, datasets.evaluation)
        prepared = prepare(subject, sources, fold=scheme.fold_batchnorm, device=where)
        datasets = in_batches_of(datasets, prepared.info.batch_size)
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
    return Begun(case, prepared, datasets, original)


def score_pass(
    case: Case, observers: Sequence[LayerObserver], metric: object | None, progress: Progress
) -> tuple[tuple[OutputRecord, ...], TaskResult]:
    """The paired pass over the measured data, looked on by observers: errors at the outputs, and the task."""
    outputs, task = OutputErrors(case.network.program.output_names), Classification(keeps_outcomes=True)
    custom = UserMetric(getattr(metric, "__name__", "metric"), metric) if metric is not None else None
    sinks: list[BatchSink] = [outputs, task, *([custom] if custom else [])]
    runner = LaneRunner(paired_lanes(case.network, case.plan), observers)
    run_batches(runner, case.measured, progress, stage="simulate", sinks={SIMULATED: sinks})
    return outputs.records(), task.result((custom.score(),) if custom else ())


def measurement_of(
    subject: Subject,
    begun: Begun,
    records: Sequence[OpRecord],
    outputs: tuple[OutputRecord, ...],
    task: TaskResult,
    watch: Stopwatch,
    *,
    seed: int,
) -> Measurement:
    """The measurement with where it comes from, and what a careful reader should know."""
    with watch.stage("data digest"):
        data = data_info(begun.datasets, seed)
    found = Measurement(
        model=model_info(subject),
        data=data,
        scheme=begun.case.scheme,
        capture=begun.prepared.info,
        records=tuple(records),
        outputs=outputs,
        task=task,
        float_ops=float_ops(begun.prepared, begun.case.plan),
        stages=watch.stages,
        versions=versions(),
    )
    plans, constants = begun.case.plan.layers, begun.case.network.graph.constants
    count = sum(plans[constant.name].output is not None for constant in constants)
    return replace(found, notes=notes_on(found, begun.given, constant_count=count))
