"""The graph of a file while it is edited: found by names, changed in place."""

from typing import Any

import numpy as np

from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.model import Array, OnnxNode
from qdiag.onnx.quantized.stored import INTEGERS

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_WIDE_OPSET = 21
"""From which on the operators of ONNX itself take 16 bits; before, those of com.microsoft do."""
_OWN = "com.microsoft"


class FileGraph:
    """Nodes and initializers of a model; `Any` is what protocol buffers give.

    Args:
        at: path, for messages.
    """

    def __init__(self, model: Any, at: str) -> None:
        self.nodes, self.at = model.graph.node, at
        self.outputs = {value.name for value in model.graph.output}
        self.initializers = {one.name: one for one in model.graph.initializer}
        self._model = model

    @property
    def opset(self) -> int:
        """Version of ONNX's own operators."""
        return max((int(one.version) for one in self._model.opset_import if one.domain in ("", "ai.onnx")), default=1)

    def made_by(self, name: str) -> Any | None:
        """The node that gives a value."""
        return next((node for node in self.nodes if name in node.output), None)

    def readers(self, name: str) -> list[Any]:
        """The nodes that take a value."""
        return [node for node in self.nodes if name in node.input]

    def rename_readers(self, names: dict[str, str]) -> None:
        """Every node reads other values."""
        for node in self.nodes:
            for place, name in enumerate(node.input):
                node.input[place] = names.get(name, name)

    def insert(self, near: Any, made: list[Any], *, is_after: bool = False) -> None:
        """Puts nodes before a node, or behind it."""
        place = next(i for i, node in enumerate(self.nodes) if node is near or node == near) + is_after
        for offset, one in enumerate(made):
            self.nodes.insert(place + offset, one)

    def put(self, name: str, array: Array) -> None:
        """An initializer with these values, in place of the one that has its name."""
        import onnx

        tensor = onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        if name not in self.initializers:
            self.initializers[name] = self._model.graph.initializer.add()
        self.initializers[name].CopyFrom(tensor)

    def constants(self) -> dict[str, Array]:
        """What initializers and `Constant` nodes hold."""
        import onnx

        to_array = onnx.numpy_helper.to_array
        found = {name: to_array(one) for name, one in self.initializers.items()}
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                found[node.output[0]] = to_array(node.attribute[0].t)
        return found

    def unread(self) -> set[str]:
        """Initializers that no node reads."""
        return set(self.initializers) - {name for node in self.nodes for name in node.input} - self.outputs

    def drop(self, names: set[str]) -> None:
        """Takes initializers away."""
        for one in [one for one in self._model.graph.initializer if one.name in names]:
            self._model.graph.initializer.remove(one)

    def take_wide_operators(self, node: Any) -> None:
        """A Q or DQ with 16 bits is one of com.microsoft where ONNX has none yet."""
        if self.opset < _WIDE_OPSET:
            node.domain = _OWN
            self.use_own_domain()

    def use_own_domain(self) -> None:
        """The file says that it has operators of com.microsoft."""
        if not any(one.domain == _OWN for one in self._model.opset_import):
            self._model.opset_import.add(domain=_OWN, version=1)


def plain_node(node: Any) -> OnnxNode:
    """A node of the file as the reader has it."""
    import onnx

    attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    domain = "" if node.domain == "ai.onnx" else str(node.domain)
    name = str(node.name or "") or next((name for name in node.output if name), str(node.op_type))
    return OnnxNode(str(node.op_type), domain, name, tuple(node.input), tuple(node.output), attributes)


def file_node(node: OnnxNode) -> Any:
    """The other way round."""
    import onnx

    made = onnx.helper.make_node(node.op, list(node.inputs), list(node.outputs), name=node.name, domain=node.domain)
    made.attribute.extend(onnx.helper.make_attribute(key, value) for key, value in node.attributes.items())
    return made


def dtype_of(quantizer: Affine) -> np.dtype[Any]:
    """The smallest type of integers that holds those of a quantizer."""
    types: dict[np.dtype[Any], tuple[int, int]] = dict(INTEGERS)  # type: ignore[arg-type]
    fitting = [d for d, (low, high) in types.items() if low <= quantizer.quant_min and quantizer.quant_max <= high]
    is_signed = quantizer.quant_min < 0
    return min((d for d in fitting if (d.kind == "i") == is_signed), key=lambda d: d.itemsize)
