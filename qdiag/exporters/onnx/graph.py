"""An ONNX graph that grows node by node."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from qdiag.exporters.onnx.number_types import as_affine, storage
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.onnx.model import Array, OnnxNode


class GraphWriter:
    """Nodes and constants, each under a name of its own.

    Attributes:
        nodes: in the order in which they are computed.
        constants: initializers by name.
        quantizers: of tensors that come out of a DequantizeLinear, by name: what moves such a tensor rounds nothing.
    """

    def __init__(self) -> None:
        self.nodes: list[OnnxNode] = []
        self.constants: dict[str, Array] = {}
        self.quantizers: dict[str, Affine] = {}
        self._integers: dict[str, str] = {}
        self._names: Counter[str] = Counter()
        self._scales: dict[object, tuple[str, str]] = {}
        self._renamed: dict[str, str] = {}

    def unique(self, name: str) -> str:
        """The name, with a number behind it from the second time on."""
        self._names[name] += 1
        return name if self._names[name] == 1 else self.unique(f"{name}_{self._names[name]}")

    def add(self, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """One node with one output; the name of that."""
        return self.add_several(op, inputs, name, 1, **attributes)[0]

    def add_several(self, op: str, inputs: Sequence[str], name: str, count: int, **attributes: Any) -> tuple[str, ...]:
        """One node; the names of its outputs."""
        name = self.unique(name)
        ends = [""] if count == 1 else [f"_{i}" for i in range(count)]
        outputs = tuple(self.unique(f"{name}_output{end}") for end in ends)
        self.nodes.append(OnnxNode(op, "", name, tuple(inputs), outputs, attributes))
        return outputs

    def constant(self, name: str, values: Any) -> str:
        """An initializer; one that holds the same under the same name is used again."""
        array = np.asarray(values)
        for known in (name, *(f"{name}_{i}" for i in range(2, self._names[name] + 1))):
            other = self.constants.get(known)
            if other is not None and other.dtype == array.dtype and np.array_equal(other, array):
                return known
        own = self.unique(name)
        self.constants[own] = array
        return own

    def integers(self, values: Sequence[int]) -> str:
        """A shape, axes and such: an initializer of int64."""
        return self.constant(f"sizes_{'_'.join(map(str, values))}"[:60], np.array(values, np.int64))

    def scale_and_zero_point(self, quantizer: Affine, name: str) -> tuple[str, str]:
        """Two initializers, the same ones for tensors that share a quantizer."""
        key = (quantizer.key, storage(quantizer))
        if key not in self._scales:
            scale = self.constant(f"{name}_scale", quantizer.scale.cpu().numpy().astype(np.float32))
            zero_point = self.constant(
                f"{name}_zero_point", quantizer.zero_point.cpu().numpy().astype(storage(quantizer))
            )
            self._scales[key] = scale, zero_point
        return self._scales[key]

    def quantized(self, tensor: str, quantizer: Quantizer, name: str) -> str:
        """The tensor behind a QuantizeLinear and a DequantizeLinear."""
        affine = as_affine(quantizer, name)
        numbers = self.scale_and_zero_point(affine, name)
        own = self.unique(f"{name}_QuantizeLinear")
        integers = self.unique(f"{name}_quantized")
        self.nodes.append(OnnxNode("QuantizeLinear", "", own, (tensor, *numbers), (integers,), {}))
        return self.dequantized(integers, affine, name)

    def dequantized(self, integers: str, quantizer: Affine, name: str) -> str:
        """Integers behind a DequantizeLinear."""
        numbers = self.scale_and_zero_point(quantizer, name)
        attributes = {} if quantizer.channel_axis is None else {"axis": quantizer.channel_axis}
        own = self.unique(f"{name}_DequantizeLinear")
        output = self.unique(f"{name}_dequantized")
        self.nodes.append(OnnxNode("DequantizeLinear", "", own, (integers, *numbers), (output,), attributes))
        self.quantizers[output] = quantizer
        self._integers[output] = integers
        return output

    def name_output(self, tensor: str, name: str) -> None:
        """Gives a tensor the name of an output: an Identity, where no node makes it, or an output has it already."""
        maker = next((i for i, node in enumerate(self.nodes) if tensor in node.outputs), None)
        if maker is None:
            source = self._renamed.get(tensor, tensor)
            self.nodes.append(OnnxNode("Identity", "", self.unique(f"{name}_Identity"), (source,), (name,), {}))
            return
        self._renamed[tensor] = name
        for i, node in enumerate(self.nodes):
            self.nodes[i] = replace(
                node,
                inputs=tuple(name if one == tensor else one for one in node.inputs),
                outputs=tuple(name if one == tensor else one for one in node.outputs),
            )

    def integers_of(self, dequantized: str) -> str:
        """The integer tensor that a DequantizeLinear reads."""
        return self._integers[dequantized]

    def number(self, value: float, beside: Affine) -> str:
        """A number as an integer of the type of a tensor beside it: exact, since its scale is the number itself."""
        kind = storage(beside)
        limits = np.iinfo(kind)
        zero_point = 1 if limits.min == 0 and value < 0 else 0
        own = Affine(torch.tensor(abs(value) or 1.0), torch.tensor(float(zero_point)), int(limits.min), int(limits.max))
        name = f"number_{value:g}_{np.dtype(kind).name}"
        integer = self.constant(f"{name}_quantized", kind(zero_point + (value > 0) - (value < 0)))
        return self.dequantized(integer, own, name)

    def moved(self, tensor: str, op: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """`op` on a tensor whose values it moves: what came in quantized goes out quantized, exactly."""
        return self.with_quantizer_of(tensor, self.add(op, inputs, name, **attributes), name)

    def with_quantizer_of(self, source: str, tensor: str, name: str) -> str:
        """The tensor behind the quantizer that another one has; the tensor itself where it has none."""
        quantizer = self.quantizers.get(source)
        return tensor if quantizer is None else self.quantized(tensor, quantizer, name)
