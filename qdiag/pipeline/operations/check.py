"""`qdiag check`: what becomes of a model before any data is seen."""

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.capture.program import Program, Runner
from qdiag.core.graph import CONSTANT, INPUT, OUTPUT, Layer
from qdiag.core.measures.operations.model_check import ModelCheck, OperationCount, TensorForm
from qdiag.core.scheme import QuantScheme
from qdiag.pipeline.begin import begin
from qdiag.pipeline.preparation.examples import example_datasets
from qdiag.simulate.case import Case
from qdiag.simulate.facts.mac_observer import MacObserver
from qdiag.simulate.layerwise.op_records import float_ops
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import Lane
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.simulate.size import network_size
from qdiag.simulate.surroundings import versions
from qdiag.subject import Subject

_NO_LAYERS = (INPUT, CONSTANT, OUTPUT)


def check_subject(
    session: Session, subject: Subject, scheme: QuantScheme, input_shape: tuple[int, ...] | None = None
) -> ModelCheck:
    """Captures a model and plans its quantizers on one batch without meaning; nothing is measured.

    Args:
        input_shape: of the one float input, batch axis first; None where the file tells it.

    Raises:
        QdiagError: the model or the scheme cannot be used; says what, where and what to do.
    """
    datasets = example_datasets(subject, input_shape, session.seed)
    experiment = begin(session, subject, datasets, scheme)
    case = experiment.case
    counts, batch = _mac_counts(session, case), next(iter(case.measured))
    left, share = float_ops(case, counts)
    tasks = case.tasks
    return ModelCheck(
        model=experiment.model,
        scheme=case.scheme,
        capture=experiment.capture,
        inputs=_inputs(case.program, batch),
        inputs_from=datasets.evaluation.source,
        outputs=_outputs(case.program, batch),
        operations=_operations(case, counts),
        float_ops=left,
        float_share=share,
        choice=tasks.choice,
        criterion=tasks.judged.criterion if tasks.judged is not None else None,
        mac_count=sum(counts.values()),
        size=network_size(case),
        stages=session.watch.stages,
        versions=versions(),
    )


def _mac_counts(session: Session, case: Case) -> dict[str, int]:
    """By layer, for one sample."""
    macs = MacObserver()
    run_batches(
        LaneRunner([Lane(case.network)], [macs]), case.measured, session.progress, stage="count multiplications"
    )
    return macs.counts()


def _operations(case: Case, mac_counts: Mapping[str, int]) -> tuple[OperationCount, ...]:
    groups: dict[tuple[str, str], list[Layer]] = {}
    for layer in case.network.graph.layers:
        if layer.kind not in _NO_LAYERS:
            kind = "depthwise_conv" if layer.is_depthwise else layer.kind
            groups.setdefault((layer.ops[0].rstrip("_"), kind), []).append(layer)
    sizes = {layer.name: _weight_size(case.network.program, layer) for layer in case.network.graph.layers}
    macs, weights = sum(mac_counts.values()), sum(sizes.values())
    return tuple(
        OperationCount(
            op=op,
            kind=kind,
            layer_count=len(layers),
            quantized_count=sum(_is_quantized(case, layer) for layer in layers),
            fused=_fused(layers),
            mac_fraction=sum(mac_counts.get(layer.name, 0) for layer in layers) / macs if macs else 0.0,
            weight_fraction=sum(sizes[layer.name] for layer in layers) / weights if weights else 0.0,
        )
        for (op, kind), layers in groups.items()
    )


def _fused(layers: Sequence[Layer]) -> tuple[str, ...]:
    found = Counter(op.rstrip("_") for layer in layers for op in dict.fromkeys(layer.ops[1:]))
    return tuple(op for op, _ in found.most_common())


def _is_quantized(case: Case, layer: Layer) -> bool:
    plan = case.plan.layers[layer.name]
    return plan.skip_reason is None and (plan.output is not None or plan.weight is not None or bool(plan.operands))


def _weight_size(program: Program, layer: Layer) -> int:
    return program.constants[layer.weight].numel() if layer.weight is not None else 0


def _inputs(program: Program, batch: Batch) -> tuple[TensorForm, ...]:
    values = program.flatten_inputs(batch.args, batch.kwargs)
    return tuple(_form(name, value, batch.sample_count) for name, value in values.items() if isinstance(value, Tensor))


def _outputs(program: Program, batch: Batch) -> tuple[TensorForm, ...]:
    with torch.inference_mode():
        values = Runner(program)(batch.args, batch.kwargs)
    named = zip(program.output_names, values, strict=True)
    return tuple(_form(name, value, batch.sample_count) for name, value in named if isinstance(value, Tensor))


def _form(name: str, value: Tensor, sample_count: int) -> TensorForm:
    """Without the first axis, where that counts samples."""
    shape = tuple(value.shape)
    own = shape[1:] if shape and shape[0] == sample_count else shape
    return TensorForm(name, own, str(value.dtype).removeprefix("torch."))
