"""`correct_bias`: the mean shift that rounded weights give each output channel is taken out of the bias.

arXiv 1906.04721, section 4.3, and arXiv 1906.03193: with W~ the quantized weight and x the layer's input, the output is
off by E[W~ x - W x] on average, a constant per channel that a bias can hold. The expectation is taken on the
calibration data, on `SAMPLES` of them at most, before the activation, with the float network's inputs as the plan
quantizes them. The plan takes the correction, and rounds it with the bias where biases are integers; the float network
stays. A checkpoint can hold it too: there it moves the float network, and is good for the scheme that it was made for
alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.batches import Batches
from qdiag.core.causes.findings import FindingSite
from qdiag.core.graph import Layer
from qdiag.core.progress import Progress
from qdiag.distributed.collector import add_by_name
from qdiag.distributed.processes import ONE, Processes
from qdiag.errors import RepairRefused
from qdiag.numerics.layout import dense
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.weighted_layer import is_weighted, weighted_layer
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.rounded_operands import rounded_operands
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_plan_edits
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import REFERENCE, Lane, pick
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.pass_values import COLUMNS
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.spread import some_of
from qdiag.simulate.passes.weights import SimulatedWeights, simulated_weights
from qdiag.simulate.session import Session

SAMPLES = 64
"""Behind a correction at most, spread over the calibration data: a mean over samples and positions, of what is small
beside the output. On MobileNetV1 that of 64 samples leaves 0.04 dB more noise at the output than that of 100."""


def mean_shifts(session: Session, case: Case, names: Sequence[str]) -> dict[str, Tensor]:
    """E[W~ x - W x] per output channel, (C,) in float32, of the named layers with quantized weights.

    From the mean of what each layer reads, which one float pass sees for all of them; layers that have none of their
    own are run sample by sample, in another one.
    """

    some = some_of(case.calibration, SAMPLES)

    def run() -> dict[str, list[float]]:
        errors = _weight_errors(case, names)
        known = session.mean_inputs.of(case.network, case.plan, some, errors, session.progress, session.processes)
        found = {name: seen.mean_output(errors[name]) for name, seen in known.items()}
        rest = [name for name in errors if name not in known]
        found |= _run_shifts(case, some, rest, session.progress, session.processes) if rest else {}
        return {name: found[name].tolist() for name in errors if name in found}

    means = session.passes.finished(
        "mean shifts", COLUMNS, run, batches=[some], depends_on=(case.network, case.plan, tuple(names))
    )
    return {name: torch.tensor(shift, dtype=torch.float32, device=case.network.device) for name, shift in means.items()}


def _run_shifts(
    case: Case, batches: Batches, names: Sequence[str], progress: Progress, processes: Processes = ONE
) -> dict[str, Tensor]:
    observer = _Shifts(case, names)
    runner = LaneRunner([Lane(case.network)], [observer])
    run_batches(runner, batches, progress, stage="bias correction", processes=processes)
    return observer.means()


def _weight_errors(case: Case, names: Sequence[str]) -> dict[str, Tensor]:
    """By layer, how far its quantized weight is from the float one."""
    errors: dict[str, Tensor] = {}
    for layer in case.network.graph.layers:
        if layer.name not in names or layer.weight is None or case.plan.layers[layer.name].weight is None:
            continue
        simulated = simulated_weights(case.network, case.plan, layer).weight
        assert simulated is not None
        errors[layer.name] = simulated - case.network.program.constants[layer.weight]
    return errors


class _Shifts(LayerObserver):
    """Beside each layer of the float network, what its weight error makes of its quantized input."""

    carried = ("_sums", "_counts")

    def __init__(self, case: Case, names: Sequence[str]) -> None:
        self._plan = case.plan
        self._errors = {name: SimulatedWeights(error, None) for name, error in _weight_errors(case, names).items()}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def before(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if layer.name not in self._errors:
            return
        x, *others = pick(args, REFERENCE)
        source = self._plan.layers[layer.inputs[0]].output if layer.inputs else None
        x = x if source is None else source.fake_quantize(dense(x))
        reading = rounded_operands(self._plan, layer)
        if reading is not None:
            x = reading.rounded(LayerOp(node, layer), (x, *others))[0]
        kwargs = {key: value for key, value in kwargs.items() if key != "bias"}
        error = FAKE_QUANTIZED.run(LayerOp(node, layer, self._errors[layer.name]), (x, *others), kwargs)
        axis = layer.channel_axis(error.ndim) or 0
        summed = [i for i in range(error.ndim) if i != axis]
        total = error.sum(summed, dtype=torch.float64) if summed else error.double()
        self._sums[layer.name] = self._sums[layer.name] + total if layer.name in self._sums else total
        self._counts[layer.name] = self._counts.get(layer.name, 0) + error.numel() // error.shape[axis]

    def merge(self, later: "_Shifts") -> None:
        """See `Collector`."""
        add_by_name(self._sums, later._sums)
        add_by_name(self._counts, later._counts)

    def means(self) -> dict[str, Tensor]:
        """Layer name to the mean error per channel."""
        return {name: (total / self._counts[name]).float() for name, total in self._sums.items()}


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """At the layers of the sites; at all layers with quantized weights when there are none."""
    names = [site.layer for site in sites] or [layer.name for layer in case.network.graph.layers]
    shifts = mean_shifts(context.session, case, names)
    wrong = {name for name, shift in shifts.items() if not bool(shift.isfinite().all())}
    for name, channels in context.spared.items():
        if name in shifts:
            shifts[name][sorted(channels)] = 0.0
    chosen = {name: {"bias_shift": -shift} for name, shift in shifts.items() if name not in wrong}
    if not chosen:
        raise RepairRefused("no weight is quantized there", at=", ".join(site.layer for site in sites) or None)
    tensors = written_shifts(case, {name: edit["bias_shift"] for name, edit in chosen.items()})
    return Treatment(with_plan_edits(context.session, case, chosen), tuple(chosen), tensors=tensors)


def written_shifts(case: Case, shifts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The shifts as a checkpoint can hold them, by name in the original model: in the beta of the BatchNorm that is
    folded into the layer, or in the layer's own bias. Layers with neither are left out.
    """
    names, found = case.program.parameter_names, dict[str, Tensor]()
    by_weight = {layer.weight_name: layer.name for layer in case.network.graph.layers if layer.name in shifts}
    for node in case.program.graph.nodes:
        weight = names.get(str(getattr(node.args[1], "target", ""))) if is_weighted(node) else None
        if weight is None or weight not in by_weight:
            continue
        try:
            layer = weighted_layer(case.program, node, folds=case.scheme.fold_batchnorm)
        except RepairRefused:  # its weight serves several layers, and so would its bias
            continue
        key = layer.beta if layer.is_folded else layer.bias
        if key is not None:
            value = case.program.constants[key]
            found[names[key]] = value + shifts[by_weight[weight]].to(value.device, value.dtype)
    return found


CORRECT_BIAS = Repair("correct_bias", _apply)
