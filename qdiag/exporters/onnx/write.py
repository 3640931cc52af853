"""A network under a plan as QDQ ONNX."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor, fx

from qdiag.batches import Batch, sample_axis
from qdiag.capture.ops import clamp_bounds, operation_name
from qdiag.core.graph import CONSTANT, Layer
from qdiag.errors import CaptureError, ConfigError
from qdiag.exporters.example_values import example_values
from qdiag.exporters.onnx.call import Call, Named, Size, Value
from qdiag.exporters.onnx.graph import GraphWriter
from qdiag.exporters.onnx.model_file import TensorInfo, model_bytes
from qdiag.exporters.onnx.number_types import NEEDED_OPSET, OPSET_OF_16_BITS, as_affine, storage
from qdiag.exporters.onnx.operators import OPERATORS
from qdiag.exporters.onnx.sites import closed, kept_in_float
from qdiag.exporters.onnx.weights import write_weights
from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.recorder import LAYER_NAME
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.network import Network

_SAMPLES = "samples"


@dataclass(frozen=True)
class QdqFile:
    """What was written.

    Attributes:
        content: the bytes of the file.
        integers: by layer, input and constant operand, the name of its integer tensor: the output of its
            QuantizeLinear, or the initializer of a constant. Layers in float are not among them.
    """

    content: bytes
    integers: Mapping[str, str]


def write_qdq(network: Network, plan: QuantPlan, example: Batch) -> QdqFile:
    """The network with a QuantizeLinear and a DequantizeLinear at every site of the plan.

    Nodes have the names of their layers, initializers those of the parameters. The number of samples is free where that
    of the captured graph is.

    Args:
        example: a batch that fits the network: sizes that are fixed in the file are those that it has.

    Raises:
        CaptureError: operations that are not written; names all of them with their layers.
        ConfigError: the plan has numbers that QuantizeLinear cannot hold, or the package `onnx` is not installed.
    """
    check_operators(network)
    return _Writing(network, plan, example).file()


def check_operators(network: Network) -> None:
    """Raises `CaptureError` that lists every operation of the graph that cannot be written, with its layer."""
    layers = {node: layer.name for layer in network.graph.layers for node in layer.nodes}
    missing: dict[str, list[str]] = {}
    for node in network.program.graph.nodes:
        if node.op == "call_function" and operation_name(node) not in OPERATORS and node.users:
            missing.setdefault(operation_name(node), []).append(layers.get(node.name, node.name))
    if missing:
        listed = "; ".join(f"{op} ({', '.join(where[:4])})" for op, where in sorted(missing.items()))
        raise CaptureError(
            f"the network has operations that cannot be written in ONNX: {listed}",
            hint="export the part of the network without them, with `submodule`",
        )


class _Values(Mapping[str, Value]):
    """What nodes gave, by name; constants are written when somebody asks for them."""

    def __init__(self, writing: "_Writing") -> None:
        self._writing = writing
        self.known: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        if name not in self.known:
            self.known[name] = self._writing.constant(name)
        return self.known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)


class _Writing:
    def __init__(self, network: Network, plan: QuantPlan, example: Batch) -> None:
        self._network, self._plan, self._batch = network, plan, example
        self._program = network.program
        self._graph = GraphWriter()
        self._values = _Values(self)
        self._examples = example_values(self._program, network.placed(example))
        self._layers: dict[str, Layer] = {node: layer for layer in network.graph.sites for node in layer.nodes}
        self._integers: dict[str, str] = {}
        self._inputs: list[TensorInfo] = []
        for layer in network.graph.sites:
            if plan.layers[layer.name].operands:
                raise ConfigError(
                    "it rounds what it multiplies as it reads it, and QuantizeLinear has no such numbers",
                    at=layer.name,
                    hint="choose a scheme of 8-bit integers",
                )

    def file(self) -> QdqFile:
        outputs: list[TensorInfo] = []
        for node in self._program.graph.nodes:
            if node.op == "placeholder" and node.target in self._program.inputs:
                self._values.known[node.name] = self._input(node)
            elif node.op == "call_function" and node.users:
                self._values.known[node.name] = self._operation(node)
            elif node.op == "output":
                outputs = self._outputs(node)
        opset = OPSET_OF_16_BITS if self._has_16_bits() else NEEDED_OPSET
        metadata = {"scheme": self._plan.scheme.name}
        content = model_bytes(self._graph, self._inputs, outputs, opset=opset, metadata=metadata)
        return QdqFile(content, self._integers)

    def constant(self, name: str) -> Value:
        """A parameter, buffer or constant as an initializer; quantized where it is a constant operand."""
        node = next(node for node in self._program.graph.nodes if node.name == name)
        value = self._program.constants.get(str(node.target))
        if value is None:
            return None
        own = self._program.parameter_names.get(str(node.target), str(node.target))
        layer = self._layers.get(name)
        quantizer = self._plan.layers[layer.name].output if layer is not None and layer.kind == CONSTANT else None
        if quantizer is None or layer is None:
            array = value.detach().cpu()
            return Named(self._graph.constant(own, (array.float() if array.is_floating_point() else array).numpy()))
        affine = as_affine(quantizer, own)
        integers = affine.quantize(value.detach().cpu().float()).numpy().astype(storage(affine))
        self._integers[layer.name] = self._graph.constant(f"{own}_quantized", integers)
        return Named(self._graph.dequantized(self._integers[layer.name], affine, own))

    def _input(self, node: fx.Node) -> Value:
        example = self._examples[node.name]
        if not isinstance(example, Tensor):
            return example
        name = self._graph.unique(str(node.target))
        self._inputs.append(TensorInfo(name, example.dtype, self._dims(example)))
        layer = self._layers.get(node.name)
        return Named(self._close(layer, name)) if layer is not None else Named(name)

    def _dims(self, example: Tensor) -> tuple[int | str, ...]:
        axis = sample_axis(example, self._batch.sample_count) if self._program.batch_size is None else None
        return tuple(_SAMPLES if i == axis else int(size) for i, size in enumerate(example.shape))

    def _operation(self, node: fx.Node) -> Value:
        layer = self._layers.get(node.name)
        is_first = layer is not None and layer.nodes[0] == node.name
        if layer is not None and not is_first and clamp_bounds(node) is not None:
            return self._values[node.all_input_nodes[0].name]  # closed with the operation before it
        call = Call(
            node,
            self._graph,
            self._values,
            self._examples,
            name=layer.name if layer is not None else str(node.meta.get(LAYER_NAME) or node.name),
            layer=layer if is_first else None,
            weights=lambda: self._weights(node, layer if is_first else None),
            close=lambda tensor: self._close(layer, tensor),
        )
        written = OPERATORS[operation_name(node)](call)
        if isinstance(written, Size):
            return written
        if not isinstance(written, str):
            return [Named(one) for one in written]
        ends = layer is not None and node.name == (layer.nodes[0] if layer.clamp is not None else layer.output)
        if layer is None or not ends:
            return Named(written)
        if call.is_closed:
            self._note(layer, written)
            return Named(written)
        return Named(self._close(layer, written))

    def _close(self, layer: Layer | None, tensor: str) -> str:
        if layer is None:
            return tensor
        plan = self._plan.layers[layer.name]
        is_float = plan.float_reason is not None or (layer.weight is not None and plan.weight is None)
        if is_float and plan.output is not None:
            tensor = kept_in_float(self._graph, tensor, layer.name)
        out = closed(self._graph, tensor, layer, plan.output)
        self._note(layer, out)
        return out

    def _note(self, layer: Layer, tensor: str) -> None:
        if self._plan.layers[layer.name].output is not None:
            self._integers[layer.name] = self._graph.integers_of(tensor)

    def _weights(self, node: fx.Node, layer: Layer | None) -> tuple[str, str]:
        if layer is not None and layer.weight is not None:
            return write_weights(self._graph, self._network, self._plan, layer)
        found = []
        for place in (1, 2):
            given = node.args[place] if len(node.args) > place else None
            found.append(self._values[given.name].name if isinstance(given, fx.Node) else "")
        return found[0], found[1]

    def _outputs(self, node: fx.Node) -> list[TensorInfo]:
        (flat,) = node.args
        tensors = [one for one in flat if isinstance(one, fx.Node)]  # type: ignore[union-attr]
        tensors = [one for one in tensors if isinstance(self._examples[one.name], Tensor)]
        found = []
        for one, wanted in zip(tensors, self._program.output_names, strict=True):
            name = self._graph.unique(wanted)
            self._graph.name_output(self._values[one.name].name, name)
            found.append(TensorInfo(name, self._examples[one.name].dtype, self._dims(self._examples[one.name])))
        return found

    def _has_16_bits(self) -> bool:
        plans = self._plan.layers.values()
        quantizers = [q for plan in plans for q in (plan.output, plan.weight) if isinstance(q, Affine)]
        return any(np.dtype(storage(q)).itemsize > 1 for q in quantizers)
