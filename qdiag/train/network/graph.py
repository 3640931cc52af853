"""The network in training: the captured graph with fake quantizers where the plan has its quantizers.

It is the simulator's own runner in one lane. Weights are made of the model's parameters at every step, folded and
quantized; what a layer computes is `InTraining`; at its output the clamp and the quantizer stand with their
derivatives. In evaluation its outputs are those of the simulator on the same tensors and ranges, bit for bit.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.graph import Layer
from qdiag.core.scheme import QuantScheme
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.straight_through.identity import identity
from qdiag.plan import QuantPlan
from qdiag.simulate.case import Case
from qdiag.simulate.passes.lanes import REFERENCE, Lane, pick
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.passes.weights import SimulatedWeights, simulated_weights
from qdiag.train.network.arithmetic import InTraining, Normalize
from qdiag.train.network.batch_statistics import BatchStatistics, corrected, normalized
from qdiag.train.network.derivatives import LearnedStep, quantized
from qdiag.train.network.live_values import LiveValues
from qdiag.train.network.parameters import Parameters
from qdiag.train.network.range_table import range_table
from qdiag.train.network.ranges import LearnedRange, Range
from qdiag.train.network.weight_source import NormSource, WeightSource, kept_norms, laid, weight_sources
from qdiag.train.processes import ONE, Processes
from qdiag.train.settings import TrainingSettings


@dataclass(frozen=True)
class Phase:
    """What one run through the network is.

    Attributes:
        is_quantized: otherwise in float.
        uses_batch: BatchNorms use the statistics of the batch.
        follows: running statistics and moving averages follow the batch, once `settle` is called.
        draw: number of the step, for signs that are drawn anew at each; None draws them as the scheme says.
    """

    is_quantized: bool = True
    uses_batch: bool = False
    follows: bool = False
    draw: int | None = None


EVALUATION = Phase()


class TrainingGraph:
    """A case in training; the case and the model are left as they were.

    Args:
        moving: names of the parameters and running statistics that may change.
        processes: a batch is what all of them get.
    """

    def __init__(
        self, case: Case, settings: TrainingSettings, moving: Collection[str], processes: Processes = ONE
    ) -> None:
        self._case, self._processes = case, processes
        self._sources = weight_sources(case)
        self._kept = kept_norms(case)
        self._moving = frozenset(moving)
        norms = [*self._kept.values(), *(norm for source in self._sources.values() for norm in source.norms)]
        statistics = {case.program.parameter_names.get(key) for norm in norms for key in (norm.mean, norm.variance)}
        self.parameters = Parameters(case.program, self._moving - statistics, case.network.device)
        self.ranges = range_table(case, settings)
        self._waiting: list[Callable[[], None]] = []

    def run(self, batch: Batch, phase: Phase = EVALUATION) -> tuple[Any, ...]:
        """The flat outputs of a batch, with their history where gradients are enabled.

        Raises:
            DataError, SimulationError: see `LaneRunner.run_batch`.
        """
        self._waiting = []
        tensors = self.parameters.by_placeholder
        live = LiveValues(tensors)
        folded = {name: source.folded(live, tensors) for name, source in self._sources.items()}
        plan = self._plan(folded, phase)
        arithmetic = InTraining(
            plan,
            {name: self._weights(source, folded[name], plan) for name, source in self._sources.items()},
            self._after(live, phase),
            self._kept_norms(live, plan, phase),
        )
        network, constants = self._case.network, dict(self._case.network.program.constants)
        constants |= {name: laid(value) for name, value in tensors.items() if name in constants}
        network = replace(network, program=replace(network.program, constants=constants))
        closes = {layer.name: partial(self._close, layer, plan, phase) for layer in network.graph.sites}
        runner = LaneRunner([Lane(network, arithmetic=arithmetic, closes=closes)])
        outputs: tuple[Any, ...] = pick(runner.run_batch(batch), REFERENCE)
        return outputs

    def settle(self) -> None:
        """After the update that the last run led to: statistics and ranges follow its batch, steps stay above zero."""
        with torch.no_grad():
            for follow in self._waiting:
                follow()
        self._waiting = []
        for found in self.ranges.learned():
            found.settle()

    def changes(self) -> dict[str, Tensor]:
        """Tensors that the model has to get, by name."""
        return self.parameters.changes()

    def scheme(self) -> QuantScheme:
        """The scheme that has to be used with them."""
        return self.ranges.scheme()

    def state(self) -> dict[str, Tensor]:
        """Every tensor that training changes, by place; written to under `torch.no_grad` in order to put it back."""
        named = {f"tensor {name}": value for name, value in self.parameters.named().items()}
        return {**named, **self.ranges.state()}

    def weights(self) -> list[Tensor]:
        """Parameters that are weights of layers as they stand, each once, as far as they are trained."""
        keys = {str(source.weight.target) for source in self._sources.values()}
        found = [value for key, value in self.parameters.by_placeholder.items() if key in keys and value.requires_grad]
        return list({id(value): value for value in found}.values())

    def binary_weights(self) -> list[Tensor]:
        """Parameters whose signs are taken, which the source keeps between -1 and 1."""
        found = []
        for name, source in self._sources.items():
            plan, scheme = self._case.plan.layers[name], self._case.scheme.weights_of(name)
            own = self.parameters.by_placeholder.get(str(source.weight.target))
            if plan.weight is not None and scheme.type == "binary" and not source.norms and own is not None:
                found.append(own)
        return found

    def _plan(self, folded: Mapping[str, tuple[Tensor, Tensor | None]], phase: Phase) -> QuantPlan | None:
        if not phase.is_quantized:
            return None
        weights: dict[str, Quantizer | None] = {
            name: self.ranges.weight_quantizer(source.layer, folded[name][0].detach(), phase.draw)
            for name, source in self._sources.items()
        }
        return self.ranges.plan(weights)

    def _weights(
        self, source: WeightSource, folded: tuple[Tensor, Tensor | None], plan: QuantPlan | None
    ) -> SimulatedWeights:
        """Weight and bias as the integer network has them, with their history."""
        weight, bias = folded
        layer = source.layer
        quantizer = plan.layers[layer.name].weight if plan is not None else None
        if plan is None or quantizer is None:
            return SimulatedWeights(weight, bias)
        exact = simulated_weights(self._with_constants(layer, weight, bias), plan, layer)
        assert exact.weight is not None
        with torch.enable_grad():
            if layer.weight_format is not None:  # the network takes the signs itself
                value = identity(weight, exact.weight)
            else:
                value = quantized(weight, quantizer, self.ranges.weight_step(layer, weight), value=exact.weight)
            own = identity(bias, exact.bias) if bias is not None and exact.bias is not None else exact.bias
        return SimulatedWeights(laid(value), own)

    def _with_constants(self, layer: Layer, weight: Tensor, bias: Tensor | None) -> Network:
        """The network with the weight and bias of one layer, without history."""
        assert layer.weight is not None
        constants = {layer.weight: weight.detach()}
        if layer.bias is not None and bias is not None:
            constants[layer.bias] = bias.detach()
        network = self._case.network
        return replace(network, program=replace(network.program, constants=constants))

    def _after(self, live: LiveValues, phase: Phase) -> dict[str, Normalize]:
        found: dict[str, Normalize] = {}
        for name, source in self._sources.items():
            norm = source.norm_after
            if norm is not None and phase.uses_batch and self._moves(norm):
                bias = live.of(source.bias) if source.bias is not None else None
                found[name] = partial(self._corrected, bias=bias, norm=norm, live=live, phase=phase)
        return found

    def _kept_norms(self, live: LiveValues, plan: QuantPlan | None, phase: Phase) -> dict[str, Normalize]:
        if not phase.uses_batch:
            return {}
        by_shifts = plan is not None and plan.scheme.batchnorm == "shift"
        found: dict[str, Normalize] = {}
        for layer in self._case.network.graph.layers:
            norm = self._kept.get(layer.nodes[0]) if layer.nodes else None
            if norm is not None and self._moves(norm):
                shifts = by_shifts and self._case.plan.layers[layer.name].skip_reason is None
                found[layer.nodes[0]] = partial(self._normalized, norm=norm, live=live, by_shifts=shifts, phase=phase)
        return found

    def _corrected(self, y: Tensor, *, bias: Tensor | None, norm: NormSource, live: LiveValues, phase: Phase) -> Tensor:
        output, statistics = corrected(y, bias, norm, live, self.parameters.by_placeholder, self._processes)
        self._follow_norm(norm, statistics, phase)
        return output

    def _normalized(self, x: Tensor, *, norm: NormSource, live: LiveValues, by_shifts: bool, phase: Phase) -> Tensor:
        output, statistics = normalized(x, norm, live, self._processes, by_shifts=by_shifts)
        self._follow_norm(norm, statistics, phase)
        return output

    def _follow_norm(self, norm: NormSource, statistics: BatchStatistics, phase: Phase) -> None:
        def follow() -> None:
            tensors = self.parameters.by_placeholder
            for name, value in ((norm.mean, statistics.mean), (norm.variance, statistics.variance)):
                tensors[name].mul_(1.0 - norm.momentum).add_(norm.momentum * value)

        if phase.follows:
            self._waiting.append(follow)

    def _moves(self, norm: NormSource) -> bool:
        """Its running statistics may change."""
        return self._case.program.parameter_names.get(norm.mean) in self._moving

    def _close(self, layer: Layer, plan: QuantPlan | None, phase: Phase, x: Tensor) -> Tensor:
        """The output of a layer: clamped, its range followed, quantized."""
        with torch.enable_grad():
            x = x if layer.clamp is None else x.clamp(*layer.clamp)
            own: Range | None = self.ranges.output(layer.name)
            if own is not None and phase.follows and self._case.plan.layers[layer.name].shared_with is None:
                low, high = self._processes.extremes(*torch.aminmax(x.detach()))
                self._waiting.append(partial(own.follow, low, high))
            output = plan.layers[layer.name].output if plan is not None else None
            if output is None:
                return x
            if layer.sign_magnitude is not None:
                return identity(x, output.fake_quantize(x.detach()))
            is_learned = isinstance(own, LearnedRange)
            step = LearnedStep(own.step, x[0].numel() if x.ndim else 1) if is_learned else None  # type: ignore[union-attr]
            return quantized(x, output, step)
