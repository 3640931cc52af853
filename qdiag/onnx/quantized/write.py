"""Tensors of a quantized file with other quantizers, other integers, or none: everything else stays as it was."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from qdiag.errors import WriteError
from qdiag.integer_file import TensorEdit
from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.model import OnnxNode
from qdiag.onnx.quantized.file_graph import DEQUANTIZE, QUANTIZE, FileGraph, dtype_of, file_node
from qdiag.onnx.quantized.packed import (
    float_family,
    form,
    moved_family,
    operand_of,
    places_of,
    put_scale,
    requantize_paddings,
    unpack,
)


def written(content: bytes, edits: Sequence[TensorEdit], at: str) -> bytes:
    """The file with these edits.

    Args:
        content: of a QDQ or QOperator file with its tensors inside.

    Raises:
        WriteError: a node that an edit is about is not there, or operators on integers cannot hold it.
    """
    import onnx

    model = onnx.ModelProto.FromString(content)
    graph = FileGraph(model, at)
    before = graph.unread()
    for edit in edits:
        _Writer(graph).edit(edit)
    graph.drop(graph.unread() - before)
    del model.graph.value_info[:]  # shapes stay, but types of integers may be others by now
    done: bytes = model.SerializeToString()
    return done


class _Writer:
    def __init__(self, graph: FileGraph) -> None:
        self._graph = graph

    def edit(self, edit: TensorEdit) -> None:
        """Makes one edit in place."""
        if not edit.nodes:
            assert edit.values is not None
            self._graph.put(edit.name, edit.values.cpu().numpy())
            return
        for output in edit.nodes:
            if edit.is_constant:
                self._constant(output, edit)
            else:
                self._output(output, edit.quantizer)

    def _output(self, name: str, quantizer: Affine | None) -> None:
        maker = self._graph.made_by(name)
        if maker is None or not (maker.op_type in (QUANTIZE, DEQUANTIZE) or form(maker) is not None):
            raise WriteError(f"nothing quantizes {name}", at=self._graph.at, hint="the file is another one by now")
        readers = self._graph.readers(name)
        is_plain = form(maker) is None and all(one.op_type == DEQUANTIZE for one in readers)
        if is_plain and quantizer is None:
            self._without(maker)
        elif is_plain and quantizer is not None:
            self._requantize([(maker, 1), *((one, 1) for one in readers)], quantizer, name)
        elif quantizer is not None and self._fits(maker, quantizer):
            family = moved_family(self._graph, name)
            scale, zero_point = (one.cpu().numpy() for one in (quantizer.scale, quantizer.zero_point))
            requantize_paddings(self._graph, family, scale, zero_point.astype(dtype_of(quantizer)))
            self._requantize(list(places_of(self._graph, family)), quantizer, name)
        else:
            values = float_family(self._graph, name)
            if quantizer is not None:
                self._quantize(values, quantizer, name)

    def _fits(self, maker: Any, quantizer: Affine) -> bool:
        """Operators on integers have 8 bits, one scale, and the type that their other operands have."""
        packed = form(maker)
        place = 2 if packed is None else packed.result + 1
        old = self._graph.constants().get(maker.input[place] if len(maker.input) > place else "")
        dtype = old.dtype if old is not None else np.dtype(np.uint8)
        return quantizer.scale.numel() == 1 and dtype_of(quantizer) == dtype

    def _requantize(self, places: Iterable[tuple[Any, int]], quantizer: Affine, name: str) -> None:
        dtype = dtype_of(quantizer)
        scale, zero_point = f"{name}_scale_repaired", f"{name}_zero_point_repaired"
        self._graph.put(scale, quantizer.scale.cpu().numpy().astype(np.float32))
        self._graph.put(zero_point, quantizer.zero_point.cpu().numpy().astype(dtype))
        for node, place in places:
            put_scale(node, place, scale, zero_point)
            if node.op_type not in (QUANTIZE, DEQUANTIZE):
                continue
            kept = [one for one in node.attribute if one.name not in ("axis", "output_dtype", "block_size")]
            del node.attribute[:]
            node.attribute.extend(kept)
            if quantizer.channel_axis is not None:
                node.attribute.add(name="axis", type=2, i=quantizer.channel_axis)
            if dtype.itemsize == 2:
                self._graph.take_wide_operators(node)

    def _quantize(self, values: str, quantizer: Affine, name: str) -> None:
        """A Q and a DQ behind what is in float by now."""
        back, maker = f"{name}_dequantized", self._graph.made_by(values)
        self._graph.rename_readers({values: back})
        pair = [
            file_node(OnnxNode(QUANTIZE, "", f"{name}/{QUANTIZE}", (values,), (name,), {})),
            file_node(OnnxNode(DEQUANTIZE, "", f"{name}/{DEQUANTIZE}", (name,), (back,), {})),
        ]
        if maker is None:
            self._graph.insert(self._graph.nodes[0], pair)
        else:
            self._graph.insert(maker, pair, is_after=True)
        made = [node for node in (self._graph.made_by(name), self._graph.made_by(back)) if node is not None]
        self._requantize([(node, 1) for node in made], quantizer, name)

    def _constant(self, name: str, edit: TensorEdit) -> None:
        packed = operand_of(self._graph, name)
        if packed is not None and self._holds(*packed, edit):
            self._operand(*packed, edit)
            return
        if packed is not None:
            unpack(self._graph, packed[0])
        node = self._graph.made_by(name)
        if node is None or node.op_type not in (QUANTIZE, DEQUANTIZE):
            raise WriteError(f"nothing quantizes {name}", at=self._graph.at, hint="the file is another one by now")
        if edit.quantizer is None:
            assert edit.values is not None
            self._graph.nodes.remove(node)
            self._graph.put(name, edit.values.cpu().numpy())
            return
        self._put_integers(node, 0, edit, name)
        self._requantize([(node, 1)], edit.quantizer, name)

    def _holds(self, node: Any, place: int, edit: TensorEdit) -> bool:
        """An operator on integers can have the edited constant."""
        packed, quantizer = form(node), edit.quantizer
        if packed is None or quantizer is None:
            return False
        if place == packed.bias:
            known = self._graph.constants()
            scales = [known[node.input[one + 1]].astype(np.float64) for one in packed.operands[:2]]
            wanted, given = quantizer.scale.double().cpu().numpy().reshape(-1), (scales[0] * scales[1]).reshape(-1)
            return wanted.size in (1, given.size) and bool(np.allclose(wanted, given, rtol=1e-6, atol=0.0))
        return dtype_of(quantizer).itemsize == 1 and quantizer.channel_axis in (None, packed.axis)

    def _operand(self, node: Any, place: int, edit: TensorEdit) -> None:
        packed, name = form(node), node.input[place]
        assert packed is not None and edit.quantizer is not None
        self._put_integers(node, place, edit, name)
        if place != packed.bias:
            self._requantize([(node, place + 1)], edit.quantizer, name)

    def _put_integers(self, node: Any, place: int, edit: TensorEdit, name: str) -> None:
        """A constant that others read too stays, and this node gets its own."""
        assert edit.integers is not None and edit.quantizer is not None
        old = node.input[place]
        is_own = len(self._graph.readers(old)) == 1 and old in self._graph.initializers
        node.input[place] = old if is_own else f"{name}_integers_repaired"
        self._graph.put(node.input[place], edit.integers.cpu().numpy().astype(dtype_of(edit.quantizer)))

    def _without(self, node: Any) -> None:
        """Takes a QuantizeLinear and what dequantizes it away; outputs of the network keep their names."""
        graph, source = self._graph, node.input[0]
        names = {source: source}
        for reader in graph.readers(node.output[0]):
            names[reader.output[0]] = source
            graph.nodes.remove(reader)
        graph.nodes.remove(node)
        public = next((name for name in names if name in graph.outputs and name != source), None)
        is_moved = public is not None and source not in graph.outputs
        graph.rename_readers(dict.fromkeys(names, public) if is_moved and public is not None else names)
        maker = graph.made_by(source)
        if is_moved and maker is not None:
            for place, name in enumerate(maker.output):
                if name == source:
                    maker.output[place] = public
