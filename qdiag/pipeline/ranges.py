"""`qdiag ranges`: where the values of every weight and every layer's output lie."""

from collections.abc import Mapping
from dataclasses import replace

from qdiag.batches import Datasets
from qdiag.core.graph import Layer
from qdiag.core.measures.value_ranges.range_record import RangeRecord
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.core.scheme import QuantScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.observer import observe
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.onnx.recorder import TENSOR_NAME
from qdiag.pipeline.facts import data_info, model_info
from qdiag.pipeline.preparation.fixed_batches import in_batches_of
from qdiag.pipeline.preparation.inputs import inputs_for, naming
from qdiag.pipeline.preparation.prepare import prepare
from qdiag.plan import LayerPlan, QuantPlan
from qdiag.simulate.calibrate import Observation
from qdiag.simulate.case import Case
from qdiag.simulate.passes.network import Network
from qdiag.simulate.selectors import with_names
from qdiag.simulate.session import Session
from qdiag.simulate.size import network_size
from qdiag.simulate.surroundings import versions
from qdiag.subject import Subject


def range_subject(
    session: Session, subject: Subject, datasets: Datasets, scheme: QuantScheme, *, with_quantizers: bool = False
) -> RangeReport:
    """One float pass over the measured samples, per tensor and per channel; the subject is left as it was.

    Args:
        scheme: nothing is quantized; the size is that which the network would have under this scheme, and its
            quantizers are calibrated on these samples.
        with_quantizers: they are part of the records.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    with session.stage("capture"), naming(datasets.evaluation):
        datasets, fold = inputs_for(subject, datasets), scheme.fold_batchnorm
        program, network, capture = prepare(subject, (datasets.evaluation,), fold=fold, device=session.device)
        datasets = in_batches_of(datasets, capture.batch_size)
    named = with_names(scheme, network.graph)
    session.expect({"observe": 1.0})  # as long as nothing is counted
    with session.watch.stage("observe"):
        seen = session.observe(network, datasets.evaluation, named, glance=False)
        plan = _plan(session, network, seen, named)
        records = _records(network, seen, plan if with_quantizers else None)
        parts = (datasets.evaluation, datasets.evaluation)
        size = network_size(Case(program, network, network, named, plan, seen, *parts)) if plan is not None else None
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
        size_scheme=scheme.name,
        scheme=named if with_quantizers else None,
    )


def _plan(session: Session, network: Network, seen: Mapping[str, Observation], scheme: QuantScheme) -> QuantPlan | None:
    try:
        return session.plan(network, seen, scheme)
    except CalibrationError:  # the table shows where values are not finite
        return None


def _records(
    network: Network, observations: Mapping[str, Observation], plan: QuantPlan | None
) -> tuple[RangeRecord, ...]:
    records = []
    nodes = {node.name: node for node in network.program.graph.nodes}
    beside = _tensors_beside(network)
    for layer in network.graph.layers:
        own = plan.layers.get(layer.name) if plan is not None else None
        if layer.weight is not None:
            tensor, channels = observe(network.program.constants[layer.weight], channel_axis=layer.weight_axis)
            if tensor is None:
                raise CalibrationError("the weight holds no finite value", at=layer.name)
            found = RangeRecord(layer.name, "weight", tensor, channels)
            records.append(_quantized(found, own.weight if own is not None else None))
        seen = observations.get(layer.name)
        if seen is not None:
            name = str(nodes[layer.output].meta.get(TENSOR_NAME, ""))
            found = RangeRecord(layer.name, "activation", seen.statistics.range, seen.channels)
            others = beside.get(layer.name, {})
            same = tuple(other for other, is_same in others.items() if is_same)
            unknown = tuple(other for other, is_same in others.items() if not is_same)
            found = replace(found, tensor_name=name, same_range=same, not_measured=unknown)
            records.append(_quantized(found, own.output if own is not None else None, own))
    return tuple(records)


def _tensors_beside(network: Network) -> Mapping[str, dict[str, bool]]:
    """By layer, the other tensors of the file that are views of its output or lie inside of it.

    Returns:
        With each, whether the range of the layer holds for it; see `RangeRecord.same_range`.
    """
    layer_of = {node: layer for layer in network.graph.layers for node in layer.nodes}
    found: dict[str, dict[str, bool]] = {}
    for node in network.program.graph.nodes:
        name, layer = node.meta.get(TENSOR_NAME), layer_of.get(node.name)
        sources = network.graph.sources.get(node.name, ())
        if not name or node.op != "call_function" or (layer is not None and node.name == layer.output):
            continue
        if layer is None and len(sources) == 1:
            found.setdefault(sources[0], {})[str(name)] = True
        elif layer is not None:
            found.setdefault(layer.name, {})[str(name)] = _is_clamped_next(layer, node.name)
    return found


def _is_clamped_next(layer: Layer, node: str) -> bool:
    """A folded BatchNorm has no node, so that the one before it computes something else than the tensor of its name."""
    is_folded = len(layer.ops) > len(layer.nodes)
    return layer.clamp is not None and node == layer.nodes[-2] and not is_folded


def _quantized(record: RangeRecord, quantizer: Quantizer | None, owner: LayerPlan | None = None) -> RangeRecord:
    """With the quantizer of the tensor, where it has one."""
    if quantizer is None:
        return record
    found = replace(quantizer.record(), shared_with=owner.shared_with if owner is not None else None)
    return replace(record, quantizer=found, has_one_range=quantizer.granularity == "per_tensor")
