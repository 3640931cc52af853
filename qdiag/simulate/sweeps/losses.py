"""The five losses of arXiv 1803.08607, section 2: one quantizer switched on at a time, on reference inputs.

Measured at the layer's output, after its clamp: quantized input alone, quantized weight alone, rounding of the output
alone, and what the clamp's upper bound (ReLU6) takes away. Saturation is measured on the sum of products itself, on
quantized inputs and weights, without against with the backend's limits.
"""

from typing import Any

from torch import Tensor, fx

from qdiag.core.graph import Layer
from qdiag.core.measures.records import LossRecord
from qdiag.numerics.error_accumulator import ErrorAccumulator
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.saturation import Sums, limited_sums
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.runner import is_source
from qdiag.simulate.passes.streams import has_streams, pick
from qdiag.simulate.passes.weights import SimulatedWeights, simulated_weights, with_weights


class LossProbe:
    """Measures the five losses at every layer with arithmetic, while its inputs are at hand."""

    def __init__(self, network: Network, plan: QuantPlan) -> None:
        self._plan = plan
        self._errors: dict[str, list[ErrorAccumulator]] = {}
        self._weights = {
            layer.name: simulated_weights(network, plan, layer)
            for layer in network.graph.layers
            if layer.weight is not None
        }

    def before_close(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Runs the layer's operation once per loss; `args` hold streams."""
        if is_source(layer) or self._plan.layers[layer.name].float_reason or not has_streams((args, kwargs)):
            return
        target: Any = node.target
        exact_args, exact_kwargs = pick((args, kwargs), lambda s: s.reference)
        rounded_args, rounded_kwargs = pick((args, kwargs), lambda s: s.local)
        exact = target(*exact_args, **exact_kwargs)
        if not isinstance(exact, Tensor) or not exact.is_floating_point():
            return
        weights = self._weights.get(layer.name)
        reference = _clamped(exact, layer)
        rounded_weight = reference
        if weights is not None:
            rounded_weight = _clamped(target(*with_weights(exact_args, weights), **exact_kwargs), layer)
        rounded_input = _clamped(target(*rounded_args, **rounded_kwargs), layer)
        output = self._plan.layers[layer.name].output
        requantized = output.fake_quantize(reference.contiguous()) if output is not None else reference
        sums = self._sums(layer, node, rounded_args, rounded_kwargs, weights)
        errors = self._errors.setdefault(layer.name, [ErrorAccumulator() for _ in range(5)])
        errors[0].add(reference=reference, simulated=[rounded_input])
        errors[1].add(reference=reference, simulated=[rounded_weight])
        if sums is not None:
            errors[2].add(reference=sums.unlimited, simulated=[sums.limited])
        errors[3].add(reference=reference, simulated=[requantized])
        unbounded = exact.clamp(min=layer.clamp[0]) if layer.clamp is not None else exact
        errors[4].add(reference=unbounded, simulated=[reference])

    def _sums(
        self,
        layer: Layer,
        node: fx.Node,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        weights: SimulatedWeights | None,
    ) -> Sums | None:
        """The layer on integers; None where there are none to add up."""
        operands = self._plan.integer_operands(layer)
        if weights is None or operands is None:
            return None
        source, weight = operands
        return limited_sums(node, layer, args, kwargs, weights, source=source, weight=weight, scheme=self._plan.scheme)

    def records(self) -> dict[str, LossRecord]:
        """Layer name to its five losses."""
        return {name: LossRecord(*(e.sums()[0] for e in errors)) for name, errors in self._errors.items()}


def _clamped(x: Tensor, layer: Layer) -> Tensor:
    return x.clamp(*layer.clamp) if layer.clamp is not None else x
