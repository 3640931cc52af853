"""The paired pass: the float network and its quantized variants, side by side, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, fx

from qdiag.batches import Batch, Batches
from qdiag.core.graph import Layer
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.progress import Progress
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.limits import limited_output, output_limits
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.runner import LayerRunner
from qdiag.simulate.passes.site import Site
from qdiag.simulate.passes.streams import Streams, first_float, has_streams, join, pick
from qdiag.simulate.passes.weights import SimulatedWeights, simulated_weights, with_weights


@dataclass(frozen=True)
class LayerErrors:
    """What the pass measured at one layer's output; `propagated` has one entry per plan."""

    local: ErrorSums
    propagated: tuple[ErrorSums, ...]
    clipped_count: int
    output_shape: tuple[int, ...]


class LayerProbe(Protocol):
    """Looks at a layer with weights or operands while its inputs are at hand."""

    def before_close(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """`node` is the layer's first operation; `args` and `kwargs` hold streams."""


class PairedRunner(LayerRunner):
    """Carries each value as `Streams` and adds up errors at every layer's output.

    Args:
        plans: one or more; the local error is measured for the first.
        probe: sees every layer before its output is closed.
    """

    def __init__(self, network: Network, plans: Sequence[QuantPlan], probe: LayerProbe | None = None) -> None:
        super().__init__(network)
        self._plans = list(plans)
        self._probe = probe
        self._sites = {
            layer.name: Site(layer.clamp, [plan.layers[layer.name].output for plan in plans])
            for layer in network.graph.layers
        }
        self.weights: dict[str, list[SimulatedWeights]] = {
            layer.name: [simulated_weights(network, plan, layer) for plan in plans]
            for layer in network.graph.layers
            if layer.weight is not None
        }
        self._limits = {
            layer.name: [output_limits(plan, layer) for plan in plans]
            for layer in network.graph.layers
            if layer.weight is not None
        }

    def compute(self, node: fx.Node, layer: Layer | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        target: Any = node.target
        if not has_streams((args, kwargs)):
            return target(*args, **kwargs)
        reference_args, reference_kwargs = pick((args, kwargs), lambda s: s.reference)
        reference = target(*reference_args, **reference_kwargs)
        weights = self.weights.get(layer.name) if layer is not None else None

        def run(variant: int, of: Any) -> Any:
            variant_args, variant_kwargs = pick((args, kwargs), of)
            if layer is None or weights is None:
                return target(*variant_args, **variant_kwargs)
            own, limits = weights[variant], self._limits[layer.name][variant]
            result = target(*with_weights(variant_args, own), **variant_kwargs)
            if limits is None or own.weight is None:
                return result
            return limited_output(limits, node, layer, variant_args[0], own.weight, result)

        local = run(0, lambda s: s.local)
        simulated = [run(i, lambda s, i=i: s.simulated[i]) for i in range(len(self._plans))]
        # a view shares its memory with what it views, and an unknown operation may
        fresh = layer is not None and layer.policy not in ("pass", "float")
        return join(reference, local, simulated, is_fresh=fresh)

    def enter(self, layer: Layer, value: Any) -> Any:
        del layer
        return Streams(value, value, [value] * len(self._plans))

    def borrowed(self, value: Any) -> Any:
        return Streams(value.reference, value.local, value.simulated) if isinstance(value, Streams) else value

    def close(self, layer: Layer, value: Any) -> Any:
        if isinstance(value, Tensor):
            value = self.enter(layer, value)
        streams = first_float(value)
        if streams is None:
            return value
        closed = self._sites[layer.name].close(streams)
        if value is streams:
            return closed
        return tuple(closed if element is streams else element for element in value)

    def run_node(self, n: fx.Node) -> Any:
        if self._probe is not None and n.op == "call_function":
            layer = self._layers.get(n.name)
            if layer is not None and n.name == layer.nodes[0]:
                args, kwargs = self.fetch_args_kwargs_from_env(n)
                self._probe.before_close(layer, n, args, kwargs)
        return super().run_node(n)

    def errors(self) -> dict[str, LayerErrors]:
        """Layer name to its errors; layers that never made a float tensor are absent."""
        found = {}
        for name, site in self._sites.items():
            local, propagated = site.sums()
            if local.count or local.reference_nonfinite_count or local.simulated_nonfinite_count:
                found[name] = LayerErrors(local, tuple(propagated), site.clipped_count, site.output_shape)
        return found


class BatchSink(Protocol):
    """Receives the outputs of each batch."""

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        """Flat outputs of the float network and of the first plan's network."""


def run_paired(runner: PairedRunner, batches: Batches, sinks: Sequence[BatchSink], progress: Progress) -> None:
    """Runs all batches, handing the outputs of each to the sinks."""
    progress.start("simulate", batches.sample_count)
    for batch in batches:
        outputs = runner.run_batch(batch)
        reference = tuple(pick(outputs, lambda s: s.reference))
        simulated = tuple(pick(outputs, lambda s: s.simulated[0]))
        for sink in sinks:
            sink.add(batch, reference=reference, simulated=simulated)
        progress.advance(batch.sample_count)
    progress.finish()
