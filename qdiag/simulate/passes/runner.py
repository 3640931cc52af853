"""Walks a network layer by layer, in several lanes side by side.

What is equal is computed once: where a lane's arguments are the very objects that another lane has, and its weights and
arithmetic are equal, so is its result. The unchanged prefix of a network costs nothing, exactly.
"""

import copy
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.batches import Batch
from qdiag.core.graph import CONSTANT, Layer
from qdiag.errors import QdiagError, SimulationError, is_out_of_memory
from qdiag.simulate.arithmetic.base import Arithmetic, LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.padding import padded_with_integer, padding_value
from qdiag.simulate.arithmetic.table import arithmetic_of
from qdiag.simulate.passes.clamping.own_clamps import Clamping, OwnClamps, shared_clamps
from qdiag.simulate.passes.closing.sites import closing_sites
from qdiag.simulate.passes.fingerprints import is_known
from qdiag.simulate.passes.lane_weights import LaneWeights, differing_constants, lane_weights
from qdiag.simulate.passes.lanes import REFERENCE, Lane, Lanes, borrowed, is_lanes, join, lanes_in, taken_apart
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.sinks import OperationCounts
from qdiag.simulate.passes.weights import SimulatedWeights

_Way = tuple[Arithmetic, SimulatedWeights | None]
"""How a lane computes a layer."""


class LaneRunner(fx.Interpreter):
    """Runs the graph in all lanes; a fused clamp is left to the site of the layer, which sees the value before it.

    Values are freed at their last use, so memory does not grow with the depth of the network.

    Args:
        lanes: the reference first; all have its graph.
        observers: see every layer, in their order.
        uncounted: the first so many lanes are no part of what is counted.
        weights: of all lanes, where another runner made them.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        observers: Sequence[LayerObserver] = (),
        *,
        uncounted: int = 0,
        weights: LaneWeights | None = None,
    ) -> None:
        self.network: Network = lanes[REFERENCE].network
        super().__init__(torch.nn.Module(), garbage_collect_values=True, graph=self.network.program.graph)
        graph = self.network.graph
        self._lanes, self.observers = list(lanes), list(observers)
        self._layers: Mapping[str, Layer] = {node: layer for layer in graph.sites for node in layer.nodes}
        self.weights = weights if weights is not None else lane_weights(graph.layers, lanes)
        self._ways = {layer.name: self._ways_of(layer) for layer in graph.layers}
        self._plain: list[_Way] = [(lane.arithmetic or FAKE_QUANTIZED, None) for lane in lanes]
        nodes = self.network.program.graph.nodes
        self._paddings = {node.name: self._ways_to_pad(node) for node in nodes if padding_value(node)}
        self._sites = closing_sites(graph, lanes)
        self._constants = differing_constants(lanes)
        has_history = any(lane.keeps_gradient or lane.closes for lane in lanes)
        self._clamping = None if has_history else Clamping(self.network, self._ways, self._sites)
        self._own_clamps: OwnClamps = {}
        self._inputs: dict[str, Any] = {}
        self._uncounted = uncounted
        self.effort = OperationCounts()

    @property
    def fits_threads(self) -> bool:
        """Its operations can run in several threads at the same time: all are torch's own."""
        targets = [node.target for node in self.network.program.graph.nodes if node.op == "call_function"]
        return self.can_run_again and self.network.device.type == "cpu" and all(map(is_known, targets))

    @property
    def can_run_again(self) -> bool:
        """A batch leaves nothing behind but what observers hold: no gradient."""
        return not any(lane.keeps_gradient or lane.closes for lane in self._lanes)

    def beside(self, observers: Sequence[LayerObserver], effort: OperationCounts) -> "LaneRunner":
        """The same lanes for another thread, with what looks on and counts there."""
        other = copy.copy(self)
        other.env, other._inputs = {}, {}
        other.observers, other.effort = list(observers), effort
        return other

    @property
    def computed_count(self) -> int:
        """Operations with data that were really run, for all lanes and batches together."""
        return self.effort.computed_count

    @property
    def reused_count(self) -> int:
        """Those whose result was at hand already."""
        return self.effort.reused_count

    def _ways_of(self, layer: Layer) -> list["_Way"]:
        weights = self.weights.get(layer.name, [None] * len(self._lanes))
        arithmetics = [lane.arithmetic or arithmetic_of(lane.plan_at(layer.name), layer) for lane in self._lanes]
        return list(zip(arithmetics, weights, strict=True))

    def _ways_to_pad(self, node: fx.Node) -> list["_Way"]:
        """Of a node that pads with something else than zeros."""
        layer = self._layers.get(node.name)
        plans = [lane.plan_at(layer.name) if layer is not None else lane.plan for lane in self._lanes]
        found = [
            lane.arithmetic or (padded_with_integer(plan, lane.network.graph, node) if plan else None)
            for lane, plan in zip(self._lanes, plans, strict=True)
        ]
        return [(one or FAKE_QUANTIZED, None) for one in found]

    def run_batch(self, batch: Batch) -> tuple[Any, ...]:
        """The flat outputs of one batch, tensors as `Lanes`.

        Raises:
            DataError: the batch does not fit the network's arguments.
            SimulationError: an operation failed; says which layer.
        """
        batch = self.network.placed(batch)
        self.effort.batch_count += 1
        self._inputs = self.network.program.flatten_inputs(batch.args, batch.kwargs)
        for observer in self.observers:
            observer.begin(batch.sample_count)
        self._own_clamps = self._clamping.of_batch(self._inputs, self.observers) if self._clamping is not None else {}
        try:
            with torch.no_grad():
                result: tuple[Any, ...] = self.run(enable_io_processing=False)
        finally:
            self._inputs = {}
        return result

    def run_node(self, n: fx.Node) -> Any:
        """Computes one node and closes the layer that ends with it."""
        if n.op == "output":
            return self.fetch_args_kwargs_from_env(n)[0][0]
        layer = self._layers.get(n.name)
        try:
            if n.op == "placeholder":
                return self._entered(n, layer)
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            if layer is not None and n.name == layer.nodes[0]:
                for observer in self.observers:
                    if observer.sees(layer.name):
                        observer.before(layer, n, args, kwargs)
            if layer is not None and layer.clamp is not None and n.name == layer.output:
                # the clamp itself happens at the close of the layer; alone it must not write to its input
                value = args[0] if len(layer.nodes) > 1 else borrowed(args[0])
            else:
                value = self._computed(n, layer, args, kwargs)
            return value if layer is None or n.name != layer.output else self._closed(layer, value)
        except QdiagError:
            raise
        except Exception as error:
            where = layer.name if layer is not None else n.name
            raise _failure(n, where, error) from error

    def _entered(self, node: fx.Node, layer: Layer | None) -> Any:
        """An input of the network, or a constant."""
        name = str(node.target)
        if name in self._constants:
            value: Any = Lanes(list(self._constants[name]))
        else:
            value = self._inputs[name] if name in self._inputs else self.network.program.constants.get(name)
        return value if layer is None else self._closed(layer, value)

    def _computed(self, node: fx.Node, layer: Layer | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One operation, once for each lane that has arguments, weights or arithmetic of its own."""
        leaves, put_together = taken_apart(args, kwargs)
        data = [leaf for leaf in leaves if is_lanes(leaf)]
        if not data:
            return node.target(*args, **kwargs)  # type: ignore[operator]
        is_first = layer is not None and node.name == layer.nodes[0]
        plain = self._paddings.get(node.name, self._plain)
        ways = self._ways[layer.name] if layer is not None and is_first else plain
        own = [() if weights is None else weights.identity for _, weights in ways]
        # all of them before any tensor is freed: another one may get its identity
        places = [
            (arithmetic.key, own[lane], *(id(leaf.tensors[lane]) for leaf in data))
            for lane, (arithmetic, _) in enumerate(ways)
        ]
        counted = places[self._uncounted :]
        self.effort.computed_count += len(set(counted))
        self.effort.reused_count += len(counted) - len(set(counted))
        clamps = shared_clamps(places, self._own_clamps.get(node.name))
        spent = self._spent(node)
        done: dict[Hashable, Any] = {}
        for lane, (at, (arithmetic, weights)) in enumerate(zip(places, ways, strict=True)):
            if at not in done:
                chosen = [leaf.tensors[lane] if is_lanes(leaf) else leaf for leaf in leaves]
                op = LayerOp(node, layer, weights, clamps.get(at))
                done[at] = arithmetic.run(op, *put_together(chosen))
                del chosen
            for value in spent:
                value.tensors[lane] = None
        results = [done[at] for at in places]
        # a view shares its memory with what it views, and an unknown operation may
        is_fresh = is_first and layer is not None and layer.policy not in ("pass", "float")
        return join(results, is_fresh=is_fresh, is_limited=[at in clamps for at in places] if clamps else ())

    def _spent(self, node: fx.Node) -> list[Lanes]:
        """Values that nobody reads after this node: each lane of them is freed once it has been read."""
        return lanes_in(self.env[source] for source in self.user_to_last_uses.get(node, ()))

    def _closed(self, layer: Layer, value: Any) -> Any:
        """The output of a layer, from its value before the fused clamp."""
        if isinstance(value, Tensor) and value.is_floating_point():
            value = self._alike(value)
        if not is_lanes(value) or not value.reference.is_floating_point():
            return value
        seeing = [one for one in self.observers if one.sees(layer.name)]
        observers = [one for one in seeing if layer.kind != CONSTANT or one.sees_constants]
        looking = [one.chunk for one in observers if type(one).chunk is not LayerObserver.chunk]

        def look(lanes: Sequence[Tensor]) -> None:
            for chunk in looking:
                chunk(layer, lanes)

        for observer in observers:
            observer.opened(layer, value)
        closed = self._sites[layer.name].close(value, look if looking else None)
        for observer in observers:
            observer.closed(layer, closed)
        return closed

    def _alike(self, value: Tensor) -> Lanes:
        """One tensor in all lanes."""
        reference = value.detach().requires_grad_() if self._lanes[REFERENCE].keeps_gradient else value
        return Lanes([reference, *[value] * (len(self._lanes) - 1)])


def _failure(node: fx.Node, where: str, error: Exception) -> SimulationError:
    """What is said of an operation that torch does not compute."""
    if is_out_of_memory(error):
        return SimulationError(f"the memory is too small for {node.target}", at=where, hint="give `batch_size=1`")
    return SimulationError(f"{node.target} failed", at=where)
