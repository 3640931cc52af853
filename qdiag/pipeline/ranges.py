"""`qdiag ranges`: where the values of every weight and every layer's output lie."""

from qdiag.batches import Datasets
from qdiag.core.measures.ranges import RangeRecord
from qdiag.core.measures.ranges_report import RangeReport
from qdiag.core.progress import NoProgress, Progress
from qdiag.core.scheme import QuantScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.observer import observe
from qdiag.pipeline.facts import Stopwatch, data_info, engine_arithmetic, model_info, resolve_device, versions
from qdiag.pipeline.fixed_batches import in_batches_of
from qdiag.pipeline.inputs import inputs_for, naming
from qdiag.pipeline.prepare import Prepared, prepare
from qdiag.simulate.calibrate import observe_network
from qdiag.subject import Subject


def range_subject(
    subject: Subject,
    datasets: Datasets,
    *,
    fold_batchnorm: bool = True,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress | None = None,
) -> RangeReport:
    """One float pass over the measured samples, per tensor and per channel; the subject is left as it was.

    Raises:
        QdiagError: the model or the data cannot be used; says what, where and what to do.
    """
    progress, watch = progress or NoProgress(), Stopwatch()
    datasets = inputs_for(subject, datasets)
    with watch.stage("capture"), naming(datasets.evaluation):
        progress.start("capture", None)
        where = resolve_device(device)
        prepared = prepare(subject, (datasets.evaluation,), fold=fold_batchnorm, device=where)
        datasets = in_batches_of(datasets, prepared.info.batch_size)
        progress.finish()
    with watch.stage("observe"), engine_arithmetic():
        records = _records(prepared, datasets, progress)
    return RangeReport(
        model=model_info(subject),
        data=data_info(datasets, seed),
        capture=prepared.info,
        records=records,
        versions=versions(),
        stages=watch.stages,
    )


def _records(prepared: Prepared, datasets: Datasets, progress: Progress) -> tuple[RangeRecord, ...]:
    network = prepared.network
    observations = observe_network(network, datasets.evaluation, QuantScheme(), progress, per_channel=True)
    records = []
    for layer in network.graph.layers:
        if layer.weight is not None:
            tensor, channels = observe(network.program.constants[layer.weight], channel_axis=layer.weight_axis)
            if tensor is None:
                raise CalibrationError("the weight holds no finite value", at=layer.name)
            records.append(RangeRecord(layer.name, "weight", tensor, channels))
        seen = observations.get(layer.name)
        if seen is not None:
            records.append(RangeRecord(layer.name, "activation", seen.statistics.range, seen.channels))
    return tuple(records)
