"""Tensors of a QDQ file with other quantizers, other integers, or none: everything else stays as it was."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from qdiag.errors import WriteError
from qdiag.integer_file import TensorEdit
from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.model import Array
from qdiag.onnx.quantized.stored import INTEGERS

_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_WIDE_OPSET = 21
"""From which on the operators of ONNX itself take 16 bits; before, those of com.microsoft do."""
_OWN = "com.microsoft"


def written(content: bytes, edits: Sequence[TensorEdit], at: str) -> bytes:
    """The file with these edits.

    Args:
        content: of a QDQ file with its tensors inside.

    Raises:
        WriteError: a node that an edit is about is not there.
    """
    import onnx

    model = onnx.ModelProto.FromString(content)
    writer = _Writer(model, at)
    before = writer.unread()
    for edit in edits:
        writer.edit(edit)
    writer.drop(writer.unread() - before)
    del model.graph.value_info[:]  # shapes stay, but types of integers may be others by now
    done: bytes = model.SerializeToString()
    return done


class _Writer:
    def __init__(self, model: Any, at: str) -> None:
        self._model, self._graph, self._at = model, model.graph, at
        self._initializers = {one.name: one for one in model.graph.initializer}

    def edit(self, edit: TensorEdit) -> None:
        """Makes one edit in place."""
        if not edit.nodes:
            assert edit.values is not None
            self._put(edit.name, edit.values.cpu().numpy())
            return
        for output in edit.nodes:
            node = self._made_by(output)
            if edit.is_constant:
                self._constant(node, edit)
            elif edit.quantizer is None:
                self._without(node)
            else:
                readers = [n for n in self._readers(output) if n.op_type == _DEQUANTIZE]
                self._requantize([node, *readers], edit.quantizer, output)

    def unread(self) -> set[str]:
        """Initializers that no node reads."""
        read = {name for node in self._graph.node for name in node.input} | {one.name for one in self._graph.output}
        return set(self._initializers) - read

    def drop(self, names: set[str]) -> None:
        """Takes initializers away."""
        for one in [one for one in self._graph.initializer if one.name in names]:
            self._graph.initializer.remove(one)

    def _made_by(self, output: str) -> Any:
        node = next((n for n in self._graph.node if output in n.output), None)
        if node is None or node.op_type not in (_QUANTIZE, _DEQUANTIZE):
            raise WriteError(f"nothing quantizes {output}", at=self._at, hint="the file is another one by now")
        return node

    def _readers(self, name: str) -> Iterator[Any]:
        return (node for node in self._graph.node if name in node.input)

    def _requantize(self, nodes: Sequence[Any], quantizer: Affine, name: str) -> None:
        dtype = _dtype(quantizer)
        scale, zero_point = f"{name}_scale_repaired", f"{name}_zero_point_repaired"
        self._put(scale, quantizer.scale.cpu().numpy().astype(np.float32))
        self._put(zero_point, quantizer.zero_point.cpu().numpy().astype(dtype))
        for node in nodes:
            data = node.input[0]
            del node.input[:]
            node.input.extend([data, scale, zero_point])
            kept = [one for one in node.attribute if one.name not in ("axis", "output_dtype", "block_size")]
            del node.attribute[:]
            node.attribute.extend(kept)
            if quantizer.channel_axis is not None:
                node.attribute.add(name="axis", type=2, i=quantizer.channel_axis)
            if dtype.itemsize == 2 and self._opset < _WIDE_OPSET:
                node.domain = _OWN
                if not any(one.domain == _OWN for one in self._model.opset_import):
                    self._model.opset_import.add(domain=_OWN, version=1)

    def _constant(self, node: Any, edit: TensorEdit) -> None:
        name = node.output[0]
        if edit.quantizer is None:
            assert edit.values is not None
            self._graph.node.remove(node)
            self._put(name, edit.values.cpu().numpy())
            return
        assert edit.integers is not None
        dtype = _dtype(edit.quantizer)
        integers = edit.integers.cpu().numpy().astype(dtype)
        # a constant that others read too stays, and this one gets its own
        is_own = sum(1 for _ in self._readers(node.input[0])) == 1 and node.input[0] in self._initializers
        target = node.input[0] if is_own else f"{name}_integers_repaired"
        self._put(target, integers)
        node.input[0] = target
        self._requantize([node], edit.quantizer, name)

    def _without(self, node: Any) -> None:
        """Takes a QuantizeLinear and what dequantizes it away; outputs of the network keep their names."""
        source, outputs = node.input[0], {value.name for value in self._graph.output}
        names = {source: source}
        for reader in [*self._readers(node.output[0])]:
            if reader.op_type != _DEQUANTIZE:
                raise WriteError(f"{reader.name} reads the integers of {source}", at=self._at)
            names[reader.output[0]] = source
            self._graph.node.remove(reader)
        self._graph.node.remove(node)
        public = next((name for name in names if name in outputs and name != source), None)
        if public is not None and source not in outputs:
            names = dict.fromkeys(names, public)
        for other in self._graph.node:
            for place, name in enumerate(other.input):
                other.input[place] = names.get(name, name)
            if public is not None and source not in outputs:
                for place, name in enumerate(other.output):
                    other.output[place] = public if name == source else name

    def _put(self, name: str, array: Array) -> None:
        import onnx

        tensor = onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        if name in self._initializers:
            self._initializers[name].CopyFrom(tensor)
        else:
            self._initializers[name] = self._graph.initializer.add()
            self._initializers[name].CopyFrom(tensor)

    @property
    def _opset(self) -> int:
        return max((int(one.version) for one in self._model.opset_import if one.domain in ("", "ai.onnx")), default=1)


def _dtype(quantizer: Affine) -> np.dtype[Any]:
    """The smallest type of integers that holds those of a quantizer."""
    types: dict[np.dtype[Any], tuple[int, int]] = dict(INTEGERS)  # type: ignore[arg-type]
    fitting = [d for d, (low, high) in types.items() if low <= quantizer.quant_min and quantizer.quant_max <= high]
    is_signed = quantizer.quant_min < 0
    return min((d for d in fitting if (d.kind == "i") == is_signed), key=lambda d: d.itemsize)
