"""A network under its plan as a file of integers."""

from collections.abc import Sequence
from dataclasses import dataclass

from qdiag.core.causes.repair import FLOAT_BOUND
from qdiag.core.measures.deployed.export import ExportReport
from qdiag.core.measures.deployed.operations import RuntimeOperations
from qdiag.errors import LoadError
from qdiag.numerics.quantizers.affine import Affine
from qdiag.pipeline.begin import Experiment, check_quantized
from qdiag.pipeline.export.formats import IntegerFormat, WrittenFile
from qdiag.pipeline.export.repaired import WantedRepair, repaired_case
from qdiag.pipeline.preparation.inputs import naming
from qdiag.simulate.case import Case
from qdiag.simulate.session import Session
from qdiag.simulate.size import network_size
from qdiag.simulate.surroundings import versions

_FLOAT_WEIGHT = "its weight has no integers in the scheme"
_EIGHT_BITS = 255


@dataclass(frozen=True)
class Exported:
    """What was made: the case, its file, and the report on both."""

    case: Case
    file: WrittenFile
    report: ExportReport


def export_experiment(
    session: Session,
    experiment: Experiment,
    form: IntegerFormat,
    repairs: Sequence[WantedRepair] = (),
    *,
    float_bound: float = FLOAT_BOUND,
) -> Exported:
    """The repaired case as a file, and what its runtime makes of it; the experiment is left as it was.

    Raises:
        ConfigError: nothing would be quantized, a repair that no file can hold, numbers that the format has not.
        CaptureError: operations that the format has not; names all of them.
    """
    check_quantized(experiment.case)
    session.expect_passes(experiment.case, {"repair": 2.5 * len(repairs), "write": 1.0, "optimize": 0.5})
    with session.watch.stage("repair"), naming(experiment.datasets.evaluation):
        case, steps = repaired_case(session, experiment, repairs, float_bound=float_bound)
    with session.stage("write"), naming(experiment.datasets.calibration):
        file = form.write(experiment.subject, case)
    operations, unrun = None, None
    with session.stage("optimize"):
        try:
            operations = form.open(file.content, "").operations()
        except LoadError as error:
            unrun = f"{error.message}" + (f" ({error.hint})" if error.hint else "")
    weights = [plan.weight for plan in case.plan.layers.values() if isinstance(plan.weight, Affine)]
    constants = {layer.name for layer in case.network.graph.constants}
    report = ExportReport(
        model=experiment.model,
        data=experiment.data,
        scheme=case.scheme,
        capture=experiment.capture,
        format=form.name,
        graph=file.graph,
        why_captured=file.why_captured,
        size=network_size(case),
        repairs=steps,
        integer_tensor_count=len(set(file.integers) - constants),
        integer_weight_count=len(weights),
        float_layers=_float_layers(case),
        operations=operations,
        unrun=unrun,
        fallen_back=fallen_back(case, form, operations) if operations is not None else (),
        byte_count=len(file.content),
        stages=session.watch.stages,
        versions=versions(),
    )
    return Exported(case, file, report)


def _float_layers(case: Case) -> tuple[tuple[str, str], ...]:
    found = []
    for layer in case.network.graph.layers:
        plan = case.plan.layers[layer.name]
        if plan.skip_reason is not None:
            found.append((layer.name, plan.skip_reason))
        elif layer.weight is not None and plan.weight is None:
            found.append((layer.name, _FLOAT_WEIGHT))
    return tuple(found)


def fallen_back(case: Case, form: IntegerFormat, operations: RuntimeOperations) -> tuple[str, ...]:
    """Layers with integers of 8 bits on all sides, in float in the runtime."""
    floating = {one.name for one in operations.floating}
    names = (layer.name for layer in case.network.graph.layers if layer.kind in form.integer_kinds)
    return tuple(name for name in names if name in floating and _is_integer(case, name))


def _is_integer(case: Case, name: str) -> bool:
    layer, plan = case.network.graph.layer(name), case.plan.layers[name]
    if plan.skip_reason is not None or (layer.weight is not None and plan.weight is None):
        return False
    quantizers = [plan.output, *(case.plan.layers[source].output for source in layer.inputs)]
    quantizers += [plan.weight] if layer.weight is not None else []
    return all(isinstance(q, Affine) and q.quant_max - q.quant_min <= _EIGHT_BITS for q in quantizers)
