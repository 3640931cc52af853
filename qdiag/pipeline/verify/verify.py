"""Three networks on the same samples: in float, simulated, and deployed."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from qdiag.batches import run_through
from qdiag.capture.outputs.layout import output_layouts
from qdiag.core.measures.deployed.operations import RuntimeOperations
from qdiag.core.measures.deployed.verification import Verification, VerifyLimits
from qdiag.core.scheme import RuntimeName
from qdiag.errors import ConfigError
from qdiag.onnx.quantized.unpack import INTEGERS_SUFFIX
from qdiag.pipeline.begin import Experiment, under_scheme
from qdiag.pipeline.export.export import fallen_back
from qdiag.pipeline.export.formats import IntegerFormat
from qdiag.pipeline.preparation.inputs import naming
from qdiag.pipeline.verify.deployed_run import DeployedRun
from qdiag.pipeline.verify.integers import IntegerComparison
from qdiag.runtimes.base import DeployedNetwork
from qdiag.runtimes.processor import saturates_pairs
from qdiag.simulate.case import Case
from qdiag.simulate.passes.lanes import REFERENCE, Lane, pick
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.simulate.size import network_size
from qdiag.simulate.surroundings import versions
from qdiag.simulate.task.output_errors import OutputErrors
from qdiag.simulate.task.tasks import ReferenceTallies, TaskSink

_FLOAT_DIGITS = 2.0**-20
_SIMULATED = 1


def with_arithmetic(session: Session, experiment: Experiment, arithmetic: RuntimeName) -> Experiment:
    """The experiment with the rules of a runtime in its simulation, on this processor."""
    scheme = experiment.case.scheme
    pairs = scheme.pair_saturation or (arithmetic == "ort" and saturates_pairs())
    return under_scheme(session, experiment, replace(scheme, arithmetic=arithmetic, pair_saturation=pairs))


def _uneven(experiment: Experiment) -> frozenset[str]:
    """Layers whose output the file quantizes otherwise than it is simulated, for some readers at least."""
    deployed = experiment.deployed
    if deployed is None:
        return frozenset()
    unplaced, layers = set(deployed.file.unplaced), deployed.found.layers
    pairs = deployed.match.pairs.items()
    return frozenset(name for name, own in pairs if own in layers and unplaced & set(layers[own].tensors))


def _in_float(experiment: Experiment, operations: RuntimeOperations) -> dict[str, str]:
    """By layer, the operator with which the runtime computes it in float."""
    floating = {one.name: one.op for one in operations.floating}
    own = experiment.deployed.file.layers if experiment.deployed is not None else ()
    in_file = {layer.name: layer.name for layer in experiment.case.network.graph.layers}
    in_file |= {layer.name: layer.file_name for layer in own}
    return {layer: floating[name] for layer, name in in_file.items() if name in floating}


def _quantized_by_runtime(experiment: Experiment, operations: RuntimeOperations) -> frozenset[str]:
    """Convolutions and linear layers that a file leaves in float, where onnxruntime computes none of these in float."""
    kinds = ("Conv", "Gemm", "MatMul")
    if not operations.runtime.startswith("onnxruntime") or any(k in o.op for o in operations.floating for k in kinds):
        return frozenset()
    layers = [layer for layer in experiment.case.network.graph.layers if layer.kind in ("conv", "linear")]
    plans = experiment.case.plan.layers
    return frozenset(one.name for one in layers if one.weight is not None and plans[one.name].weight is None)


def integer_names(experiment: Experiment, deployed: DeployedNetwork) -> dict[str, str]:
    """By layer, the integer tensor of a file that was given."""
    assert experiment.deployed is not None
    known = {name.removesuffix(INTEGERS_SUFFIX): name for name in deployed.tensors}  # between operators on integers
    known |= {float_name: name for name, tensor in deployed.tensors.items() for float_name in tensor.floats}
    known |= {name: name for name in deployed.tensors}
    tensors = {layer.name: layer.tensor or "" for layer in experiment.deployed.file.layers}
    return {layer: known[tensor] for layer, tensor in tensors.items() if tensor in known}


def verify_case(
    session: Session,
    experiment: Experiment,
    case: Case,
    form: IntegerFormat,
    content: bytes,
    names: Mapping[str, str] | None,
    *,
    source: str | None,
    limits: VerifyLimits,
) -> Verification:
    """Runs float, simulated and deployed network on the measured data; nothing is changed.

    Args:
        content: the file. names: by layer, its integer tensor there; None takes those that the experiment knows.
        source: path of the file; None where it was made for this run.

    Raises:
        ConfigError: no integers can be compared. LoadError: the runtime does not take the file, or is not installed.
        DataError: the file does not take the data.
    """
    session.expect_passes(case, {"optimize": 0.5, "verify": 6.0})
    deployed = form.open(content, source or "")
    with session.stage("optimize"):
        operations = deployed.operations()
    names = integer_names(experiment, deployed) if names is None else names
    compared = IntegerComparison(
        *(case, names, deployed, _SIMULATED),
        uneven=_uneven(experiment),
        floating=_in_float(experiment, operations),
        quantized_by_runtime=_quantized_by_runtime(experiment, operations),
    )
    if not compared.names and deployed.tensors:
        raise ConfigError(
            "no layer of the network has integers in the file that could be compared",
            at=source or "",
            hint="give the network that the file was made from",
        )
    program = case.network.program
    layouts, whole = output_layouts(program, case.network.graph), case.tasks.whole
    reference_tallies = ReferenceTallies(case.tasks)
    errors = [OutputErrors(program.output_names, layouts, whole) for _ in range(2)]
    tasks = [TaskSink(case.tasks, reference_tallies) for _ in range(2)]
    runner = LaneRunner([Lane(case.network), Lane(case.network, case.plan)], [compared])
    run = DeployedRun(program, deployed, tuple(dict.fromkeys(compared.names.values())))
    sample_count = equal_count = 0
    with session.watch.stage("verify"), naming(experiment.datasets.evaluation):
        for batch in run_through(case.measured, session.progress, "verify"):
            outputs = runner.run_batch(batch)
            reference, simulated = pick(outputs, REFERENCE), pick(outputs, _SIMULATED)
            given, integers = run(batch, reference)
            compared.compare(integers)
            sides = (simulated, tuple(_beside(g, r) for g, r in zip(given, reference, strict=True)))
            for error, task, side in zip(errors, tasks, sides, strict=True):
                error.add(batch, reference=reference, simulated=side)
                task.add(batch, reference=reference, simulated=side)
            sample_count += batch.sample_count
            equal_count += _equal_samples(*sides, batch.sample_count)
    return Verification(
        model=experiment.model,
        data=experiment.data,
        scheme=case.scheme,
        capture=experiment.capture,
        source=source,
        limits=limits,
        operations=operations,
        fallen_back=fallen_back(case, form, operations),
        layers=compared.agreements(),
        uncompared=compared.uncompared(),
        simulated=errors[0].records(),
        deployed=errors[1].records(),
        simulated_task=tasks[0].result(),
        deployed_task=tasks[1].result(),
        sample_count=sample_count,
        equal_count=equal_count,
        size=network_size(case),
        adds_pairs=form.adds_pairs(),
        stages=session.watch.stages,
        versions=versions(),
    )


def _beside(given: Any, reference: Any) -> Any:
    return given.to(reference.device) if isinstance(given, Tensor) and isinstance(reference, Tensor) else given


def _equal_samples(simulated: tuple[Any, ...], deployed: tuple[Any, ...], count: int) -> int:
    """Samples whose outputs are the same in both; all or none where an output has no axis of samples.

    Runtimes turn the last integers into float32 in different orders, so that equal integers may come out as numbers
    that differ in their last digits; one step of 16-bit integers is sixteen times as much as `_FLOAT_DIGITS`.
    """
    equal = torch.ones(count, dtype=torch.bool)
    for one, other in zip(simulated, deployed, strict=True):
        if isinstance(one, Tensor) and isinstance(other, Tensor):
            floats = one.is_floating_point() and one.dtype == other.dtype
            same = torch.isclose(one, other, rtol=_FLOAT_DIGITS, atol=0.0) if floats else one == other
            has_samples = one.ndim > 0 and one.shape[0] == count
            equal &= same.reshape(count, -1).all(1).cpu() if has_samples else bool(same.all())
    return int(equal.sum())
