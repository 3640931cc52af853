"""`qdiag sqnr`: where a quantized network loses its signal, layer by layer."""

from collections.abc import Mapping
from dataclasses import replace

from qdiag.batches import Datasets
from qdiag.core.graph import Layer
from qdiag.core.measurement import FloatOp, Measurement
from qdiag.core.progress import NoProgress, Progress
from qdiag.core.records import LossRecord, OpRecord, QuantizerRecord
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError
from qdiag.pipeline.facts import Stopwatch, data_info, engine_arithmetic, model_info, resolve_device, versions
from qdiag.pipeline.inputs import first_batch, inputs_for, naming
from qdiag.pipeline.notes import notes_on
from qdiag.pipeline.prepare import Prepared, prepare
from qdiag.plan import QuantPlan
from qdiag.simulate.calibrate import Observation, observe_network
from qdiag.simulate.losses import LossProbe
from qdiag.simulate.paired import BatchSink, LayerErrors, PairedRunner, run_paired
from qdiag.simulate.plan_builder import build_plan
from qdiag.simulate.runner import is_source
from qdiag.simulate.task import Classification, OutputErrors, UserMetric
from qdiag.simulate.weights import weight_record
from qdiag.subject import Subject


def measure_subject(
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    *,
    device: str = "cpu",
    metric: object | None = None,
    with_losses: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Measurement:
    """Captures, folds, calibrates on one pass and simulates on another; the subject is left as it was.

    Args:
        scheme: what is quantized, and how.
        device: `cpu`, `cuda` or `auto`.
        metric: the user's own, see `qdiag.simulate.task.UserMetric`.
        with_losses: also the five losses per layer, at about four more forward passes.
        seed: stored with the result; it has decided how `datasets` was split.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    progress, watch, where = progress or NoProgress(), Stopwatch(), resolve_device(device)
    original, datasets = datasets, inputs_for(subject, datasets)
    with watch.stage("capture"), naming(original.calibration):
        progress.start("capture", None)
        prepared = prepare(subject, first_batch(datasets.calibration), fold=scheme.fold_batchnorm, device=where)
        progress.finish()
    network = prepared.network
    with engine_arithmetic():
        with watch.stage("calibrate"):
            observations = observe_network(network, datasets.calibration, scheme, progress)
        with watch.stage("plan"):
            plan = build_plan(network, observations, scheme)
            if not plan.quantized_count:
                raise ConfigError(
                    "nothing would be quantized", at=scheme.name, hint="lower weights.bits or activations.bits"
                )
        with watch.stage("simulate"):
            probe = LossProbe(network, plan) if with_losses else None
            runner = PairedRunner(network, [plan], probe)
            outputs, task = OutputErrors(network.program.output_names), Classification(keeps_outcomes=True)
            custom = UserMetric(getattr(metric, "__name__", "metric"), metric) if metric is not None else None
            sinks: list[BatchSink] = [outputs, task, *([custom] if custom else [])]
            with naming(original.evaluation):
                run_paired(runner, datasets.evaluation, sinks, progress)
    with watch.stage("data digest"):
        data = data_info(datasets, seed)
    records = op_records(prepared, plan, observations, runner, probe.records() if probe else {})
    result = Measurement(
        model=model_info(subject),
        data=data,
        scheme=scheme,
        capture=prepared.info,
        records=records,
        outputs=outputs.records(),
        task=task.result((custom.score(),) if custom else ()),
        float_ops=float_ops(prepared, plan),
        stages=watch.stages,
        versions=versions(),
    )
    return replace(result, notes=notes_on(result, original))


def op_records(
    prepared: Prepared,
    plan: QuantPlan,
    observations: Mapping[str, Observation],
    runner: PairedRunner,
    losses: Mapping[str, LossRecord],
) -> tuple[OpRecord, ...]:
    """One record per layer whose output was ever a float tensor, in graph order."""
    errors = runner.errors()
    records: list[OpRecord] = []
    for layer in prepared.network.graph.layers:
        if layer.name in errors:
            seen = observations.get(layer.name)
            record = _record(len(records), layer, prepared, plan, errors[layer.name], runner)
            record = replace(record, range=seen.statistics.range if seen else None, losses=losses.get(layer.name))
            records.append(record)
    return tuple(records)


def _record(
    index: int, layer: Layer, prepared: Prepared, plan: QuantPlan, errors: LayerErrors, runner: PairedRunner
) -> OpRecord:
    weights = runner.weights.get(layer.name)
    return OpRecord(
        index=index,
        name=layer.name,
        kind="depthwise_conv" if layer.is_depthwise else layer.kind,
        module_path=layer.module_path,
        ops=layer.ops,
        inputs=layer.inputs,
        output_shape=errors.output_shape,
        local=errors.local,
        propagated=errors.propagated[0],
        quantizer=_quantizer(plan, layer),
        weight=weight_record(prepared.network, plan, layer, weights[0]) if weights else None,
        clipped_count=errors.clipped_count,
        skip_reason=plan.layers[layer.name].float_reason,
    )


def _quantizer(plan: QuantPlan, layer: Layer) -> QuantizerRecord | None:
    layer_plan = plan.layers[layer.name]
    qparams = layer_plan.output
    if qparams is None:
        return None
    scheme = plan.scheme.activations_of(layer_plan.shared_with or layer.name)
    return QuantizerRecord(
        bits=scheme.bits,
        symmetric=scheme.symmetric,
        scale=float(qparams.scale),
        zero_point=int(qparams.zero_point),
        quant_min=qparams.quant_min,
        quant_max=qparams.quant_max,
        range_min=qparams.range_min,
        range_max=qparams.range_max,
        shared_with=layer_plan.shared_with,
    )


def float_ops(prepared: Prepared, plan: QuantPlan) -> tuple[FloatOp, ...]:
    """Every operation whose arithmetic stays in float although the scheme quantizes."""
    found = []
    for layer in prepared.network.graph.layers:
        reason = plan.layers[layer.name].float_reason
        if reason is not None and not is_source(layer):
            found.append(FloatOp(layer.name, layer.ops[0], reason))
    return tuple(found)
