"""A network under a plan as a LiteRT file of integers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, fx

from qdiag.batches import Batch
from qdiag.capture.ops import clamp_bounds, operation_name
from qdiag.core.graph import CONSTANT, Layer
from qdiag.errors import CaptureError, ConfigError
from qdiag.exporters.example_values import example_values
from qdiag.exporters.litert.build import TO_LAST, Builder, Held
from qdiag.exporters.litert.call import OTHERWISE, Call, Ending
from qdiag.exporters.litert.number_types import kind_of
from qdiag.exporters.litert.operators import OPERATORS
from qdiag.exporters.litert.weights import write_weights
from qdiag.litert.edited.change import TensorChange
from qdiag.litert.edited.write import with_changes
from qdiag.litert.serialize import serialized
from qdiag.onnx.recorder import LAYER_NAME
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.batch_rows import rows
from qdiag.simulate.passes.network import Network


@dataclass(frozen=True)
class LiteFile:
    """What was written.

    Attributes:
        content: the bytes of the file.
        integers: by layer and input, the name of its tensor of integers. Layers in float are not among them.
    """

    content: bytes
    integers: Mapping[str, str]


def write_lite(network: Network, plan: QuantPlan, example: Batch) -> LiteFile:
    """The network with the integers of a plan, for one sample, with int8 inputs and outputs where these are quantized.

    Tensors have the names of their layers, weights those of the parameters. Layers in float stand between DEQUANTIZE
    and QUANTIZE.

    Args:
        example: a batch that fits the network.

    Raises:
        CaptureError: operations that are not written; names all of them with their layers.
        ConfigError: the plan has numbers that the file cannot hold, or the package with the schema is not installed.
    """
    _check_operators(network)
    return _Writing(network, plan, replace(rows(example, range(1)), labels=None)).file()


def _check_operators(network: Network) -> None:
    layers = {node: layer.name for layer in network.graph.layers for node in layer.nodes}
    missing: dict[str, list[str]] = {}
    for node in network.program.graph.nodes:
        name = operation_name(node)
        if node.op == "call_function" and name not in OPERATORS and node.users and not name.startswith("sym_"):
            missing.setdefault(name, []).append(layers.get(node.name, node.name))
    if missing:
        listed = "; ".join(f"{op} ({', '.join(where[:4])})" for op, where in sorted(missing.items()))
        raise CaptureError(
            f"the network has operations that cannot be written in LiteRT: {listed}",
            hint=OTHERWISE,
        )


class _Writing:
    def __init__(self, network: Network, plan: QuantPlan, example: Batch) -> None:
        self._network, self._plan, self._program = network, plan, network.program
        placed = network.placed(example)
        self._examples = example_values(self._program, placed)
        self._build = Builder(kind_of(plan))
        self._known: dict[str, Any] = {}
        self._layers: dict[str, Layer] = {node: layer for layer in network.graph.sites for node in layer.nodes}
        self._integers: dict[str, str] = {}
        self._inputs: list[int] = []
        for layer in network.graph.sites:
            if plan.layers[layer.name].operands:
                raise ConfigError("it rounds what it multiplies as it reads it, which kernels do not", at=layer.name)

    def file(self) -> LiteFile:
        outputs: list[int] = []
        for node in self._program.graph.nodes:
            if node.op == "placeholder" and node.target in self._program.inputs:
                self._known[node.name] = self._input(node)
            elif node.op == "call_function" and node.users:
                self._known[node.name] = self._operation(node)
            elif node.op == "output":
                (flat,) = node.args
                found = [self._value(one.name) for one in flat if isinstance(one, fx.Node)]
                outputs = [self._given(one).place for one in found if isinstance(one, Held)]
        graph = self._build.graph(self._inputs, outputs)
        content = serialized(graph, f"qdiag, scheme {self._plan.scheme.name}")
        wide = [
            TensorChange(place, tensor.dtype, tensor.quantization)
            for place, tensor in enumerate(graph.tensors)
            if tensor.dtype == np.int16 and tensor.data is None
        ]
        # operators meet tensors of 8 bits and of 16 as in a file whose tensors were changed
        return LiteFile(with_changes(content, graph, wide, "") if wide else content, self._integers)

    def _given(self, held: Held) -> Held:
        """An output as the file gives it: images with their channels last, everything else as the network has it."""
        return self._build.in_order(held, "plain") if held.order == "signal" else held

    def _value(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = self._constant(name)
        return self._known[name]

    def _constant(self, name: str) -> Any:
        """A constant that meets data, in the order of images where it has four axes."""
        node = next(node for node in self._program.graph.nodes if node.name == name)
        value = self._program.constants.get(str(node.target))
        if value is None:
            return None
        own = self._program.parameter_names.get(str(node.target), str(node.target))
        layer = self._layers.get(name)
        quantizer = self._plan.layers[layer.name].output if layer is not None and layer.kind == CONSTANT else None
        array = value.detach().cpu().float().numpy()
        is_image = array.ndim == 4
        stored = np.ascontiguousarray(array.transpose(TO_LAST)) if is_image else array
        affine = self._build.affine(quantizer, own) if quantizer is not None else None
        return self._build.operand(own, stored, "last" if is_image else "plain", affine)

    def _input(self, node: fx.Node) -> Any:
        example = self._examples[node.name]
        if not isinstance(example, Tensor):
            return example
        shape = tuple(int(size) for size in example.shape)
        is_image = len(shape) == 4
        stored = tuple(shape[axis] for axis in TO_LAST) if is_image else shape
        layer = self._layers.get(node.name)
        quantizer = self._plan.layers[layer.name].output if layer is not None else None
        affine = self._build.affine(quantizer, node.name) if quantizer is not None else None
        held = self._build.value(str(node.target), stored, "last" if is_image else "plain", affine)
        self._inputs.append(held.place)
        self._note(layer, held)
        return held

    def _operation(self, node: fx.Node) -> Any:
        layer = self._layers.get(node.name)
        is_first = layer is not None and layer.nodes[0] == node.name
        if layer is not None and not is_first and clamp_bounds(node) is not None:
            return self._value(node.all_input_nodes[0].name)  # closed with the operation before it
        name = operation_name(node)
        if name.startswith("sym_") or not isinstance(self._examples[node.name], Tensor | list):
            return self._examples[node.name]
        call = Call(
            node,
            self._build,
            self._value,
            self._examples,
            name=layer.name if layer is not None else str(node.meta.get(LAYER_NAME) or node.name),
            layer=layer,
            ending=self._ending(layer, node) if layer is not None and is_first else None,
        )
        written = OPERATORS[name](call)
        if layer is None or not isinstance(written, Held) or not is_first:
            return written
        wanted = self._plan.layers[layer.name].output
        if wanted is not None:
            written = self._build.requantized(
                written, self._build.affine(wanted, layer.name), f"{layer.name}/quantized"
            )
        self._note(layer, written)
        return written

    def _ending(self, layer: Layer, node: fx.Node) -> Ending:
        own = self._plan.layers[layer.name]
        is_float = own.float_reason is not None or (layer.weight is not None and own.weight is None)
        quantizer = self._build.affine(own.output, layer.name) if own.output is not None else None
        weights = None
        if layer.weight is not None:
            source = self._value(node.all_input_nodes[0].name)
            integers = source.quantizer if isinstance(source, Held) and not is_float and quantizer else None

            def weights(order: Sequence[int], axis: int) -> tuple[int, int]:
                return write_weights(self._build, self._network, self._plan, layer, order, axis, source=integers)

        adds_bias = own.bias_shift is not None
        clamp = None if layer.kind == "clamp" else layer.clamp
        return Ending(clamp, quantizer, is_float, weights, adds_bias, own.is_stored, own.constant_quantizers)

    def _note(self, layer: Layer | None, held: Held) -> None:
        if layer is not None and held.quantizer is not None:
            self._integers[layer.name] = self._build.tensors[held.place].name
