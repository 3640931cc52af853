"""`qdiag ranges`: where the values of every weight and every layer's output lie."""

from collections.abc import Mapping

from qdiag.batches import Datasets
from qdiag.capture.program import Program
from qdiag.core.measures.ranges import RangeRecord
from qdiag.core.measures.size import NetworkSize
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.core.scheme import QuantScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.observer import observe
from qdiag.pipeline.facts import data_info, model_info
from qdiag.pipeline.preparation.fixed_batches import in_batches_of
from qdiag.pipeline.preparation.inputs import inputs_for, naming
from qdiag.pipeline.preparation.prepare import prepare
from qdiag.simulate.calibrate import Observation
from qdiag.simulate.case import Case
from qdiag.simulate.passes.network import Network
from qdiag.simulate.session import Session
from qdiag.simulate.size import network_size
from qdiag.simulate.surroundings import versions
from qdiag.subject import Subject


def range_subject(
    session: Session, subject: Subject, datasets: Datasets, size_scheme: QuantScheme, *, fold_batchnorm: bool = True
) -> RangeReport:
    """One float pass over the measured samples, per tensor and per channel; the subject is left as it was.

    Args:
        size_scheme: nothing is quantized; the size that the network would have is told for this scheme, of minimum and
            maximum.

    Raises:
        QdiagError: the model or the data cannot be used; says what, where and what to do.
    """
    with session.stage("capture"), naming(datasets.evaluation):
        datasets = inputs_for(subject, datasets)
        program, network, capture = prepare(subject, (datasets.evaluation,), fold=fold_batchnorm, device=session.device)
        datasets = in_batches_of(datasets, capture.batch_size)
    with session.watch.stage("observe"):
        seen = session.observe(network, datasets.evaluation, size_scheme, glance=False)
        records = _records(network, seen)
        size = _size(session, program, network, seen, datasets, size_scheme)
    with session.stage("data digest"):
        data = data_info(datasets, session.seed)
    return RangeReport(
        model=model_info(subject),
        data=data,
        capture=capture,
        records=records,
        versions=versions(),
        stages=session.watch.stages,
        size=size,
        size_scheme=size_scheme.name,
    )


def _size(
    session: Session,
    program: Program,
    network: Network,
    seen: Mapping[str, Observation],
    datasets: Datasets,
    scheme: QuantScheme,
) -> NetworkSize | None:
    try:
        plan = session.plan(network, seen, scheme)
    except CalibrationError:  # the table shows where values are not finite
        return None
    return network_size(Case(program, network, network, scheme, plan, seen, datasets.evaluation, datasets.evaluation))


def _records(network: Network, observations: Mapping[str, Observation]) -> tuple[RangeRecord, ...]:
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
