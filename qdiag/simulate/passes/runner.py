"""Walks a network layer by layer; what happens at a layer's output is up to the subclass."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from qdiag.batches import Batch
from qdiag.core.graph import CONSTANT, INPUT, Layer
from qdiag.errors import QdiagError, SimulationError
from qdiag.simulate.passes.network import Network


class LayerRunner(fx.Interpreter):
    """Runs the graph; a fused clamp is left to `close`, which sees the value before it.

    Values are freed at their last use, so memory does not grow with the depth of the network.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(torch.nn.Module(), garbage_collect_values=True, graph=network.program.graph)
        self.network = network
        self.sample_count = 0
        self._layers: Mapping[str, Layer] = {n: layer for layer in network.graph.layers for n in layer.nodes}
        self._inputs: dict[str, Any] = {}

    def run_batch(self, batch: Batch) -> tuple[Any, ...]:
        """The flat outputs of one batch.

        Raises:
            DataError: the batch does not fit the network's arguments.
            SimulationError: an operation failed; says which layer.
        """
        batch = self.network.placed(batch)
        self._inputs = self.network.program.flatten_inputs(batch.args, batch.kwargs)
        self.sample_count = batch.sample_count
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
                constant = n.target not in self._inputs
                value = self.network.program.constants.get(str(n.target)) if constant else self._inputs[str(n.target)]
                return value if layer is None else self.close(layer, self.enter(layer, value))
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            if layer is not None and layer.clamp is not None and n.name == layer.output:
                # the clamp itself happens at the close of the layer; alone it must not write to its input
                return self.close(layer, args[0] if len(layer.nodes) > 1 else self.borrowed(args[0]))
            value = self.compute(n, layer, args, kwargs)
            return value if layer is None or n.name != layer.output else self.close(layer, value)
        except QdiagError:
            raise
        except Exception as error:
            where = layer.name if layer is not None else n.name
            raise SimulationError(f"{n.target} failed: {_first_line(error)}", at=where) from error

    def compute(self, node: fx.Node, layer: Layer | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The value of one operation."""
        raise NotImplementedError

    def enter(self, layer: Layer, value: Any) -> Any:
        """An input of the network, or a constant operand, as this pass carries it."""
        raise NotImplementedError

    def borrowed(self, value: Any) -> Any:
        """The value marked as not ours to write to."""
        raise NotImplementedError

    def close(self, layer: Layer, value: Any) -> Any:
        """The output of a layer, from its value before the fused clamp."""
        raise NotImplementedError


class FloatRunner(LayerRunner):
    """The float network on plain tensors; what a subclass looks at is `see`."""

    def compute(self, node: fx.Node, layer: Layer | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        del layer
        return node.target(*args, **kwargs)  # type: ignore[operator]

    def enter(self, layer: Layer, value: Any) -> Any:
        del layer
        return value

    def borrowed(self, value: Any) -> Any:
        return value.clone()

    def close(self, layer: Layer, value: Any) -> Any:
        tensor = next((t for t in pytree.tree_leaves(value) if isinstance(t, Tensor) and t.is_floating_point()), None)
        if tensor is not None:
            if layer.clamp is not None:
                tensor.clamp_(*layer.clamp)
            self.see(layer, tensor)
        return value

    def see(self, layer: Layer, output: Tensor) -> None:
        """The first float output of a layer, after its clamp."""


def is_source(layer: Layer) -> bool:
    """An input or a constant: it has no arithmetic of its own."""
    return layer.kind in (INPUT, CONSTANT)


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip() if lines else 'no message'}"[:300]
