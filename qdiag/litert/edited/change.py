"""What becomes of tensors of a file, in the layout of the file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdiag.errors import WriteError
from qdiag.integer_file import TensorEdit
from qdiag.litert.edited.kernels import FIXED, JOINING
from qdiag.litert.model import Array, LiteGraph, LiteQuantization, LiteTensor
from qdiag.litert.rewrite import laid_out
from qdiag.litert.writer import Laid, Writer
from qdiag.numerics.quantizers.affine import Affine

_DEQUANTIZED, _INTEGERS = "/dequantized", "/integers"
_OTHER_FILE = "the file is another one by now"


@dataclass(frozen=True)
class TensorChange:
    """One tensor afterwards.

    Attributes:
        place: of the tensor. dtype: of its elements.
        quantization: None for a tensor of floats. data: of a constant, shape of the tensor.
    """

    place: int
    dtype: np.dtype[Any]
    quantization: LiteQuantization | None
    data: Array | None = None


def tensor_changes(graph: LiteGraph, edits: Sequence[TensorEdit]) -> list[TensorChange]:
    """The edits in the layout of the file.

    Raises:
        WriteError: a tensor is not there.
    """
    writer = laid_out(graph)
    places = {tensor.name: place for place, tensor in enumerate(graph.tensors)}
    found = []
    for edit in edits:
        if edit.is_constant:
            name = edit.nodes[0].removesuffix(_DEQUANTIZED) if edit.nodes else edit.name
            laid = writer.laid.get(name)
            if laid is None:
                raise WriteError(f"no constant is stored as {name}", hint=_OTHER_FILE)
            place = places[laid.name]
            found.append(_constant(graph.tensors[place], place, laid, edit))
        else:
            chosen = _computed(graph, writer, edit)
            found += [_output(graph.tensors[place], place, edit.quantizer) for place in chosen]
    return found


def as_stored(tensor: LiteTensor, laid: Laid, values: Array) -> Array:
    """A constant of the network in the layout of the file."""
    places = laid.move(np.arange(values.size).reshape(tensor.shape))
    found = np.empty(values.size, values.dtype)
    found[places.reshape(-1)] = values.reshape(-1)
    return found.reshape(tensor.shape)


def _constant(tensor: LiteTensor, place: int, laid: Laid, edit: TensorEdit) -> TensorChange:
    if edit.quantizer is None:
        assert edit.values is not None
        floats = as_stored(tensor, laid, edit.values.detach().cpu().float().numpy())
        dtype = tensor.dtype if tensor.dtype.kind == "f" else np.dtype(np.float32)
        return TensorChange(place, dtype, None, floats.astype(dtype))
    assert edit.integers is not None
    dtype = dtype_of(edit.quantizer)
    integers = as_stored(tensor, laid, edit.integers.cpu().numpy()).astype(dtype)
    axis = 0
    if edit.quantizer.channel_axis is not None:
        shape = [1] * edit.integers.ndim
        shape[edit.quantizer.channel_axis] = -1
        count = edit.integers.shape[edit.quantizer.channel_axis]
        channels = np.broadcast_to(np.arange(count).reshape(shape), tuple(edit.integers.shape))
        axis = _axis_of(as_stored(tensor, laid, np.ascontiguousarray(channels)))
    return TensorChange(place, dtype, quantization_of(edit.quantizer, axis), integers)


def _axis_of(channels: Array) -> int:
    """Along which the numbers of channels go up."""
    moves = [bool((np.diff(channels, axis=axis) != 0).any()) for axis in range(channels.ndim)]
    return moves.index(True) if True in moves else 0


def _computed(graph: LiteGraph, writer: Writer, edit: TensorEdit) -> list[int]:
    """The tensors that change of those that hold the values, one quantized anew after the other.

    Parts of a joined tensor keep the scale of the whole, and so does what a kernel gives at one scale alone, where it
    is quantized anew behind it.
    """
    places = [writer.integers.get(node, -1) for node in edit.nodes]
    if -1 in places:
        raise WriteError(f"nothing holds the integers of {edit.name}", hint=_OTHER_FILE)
    if edit.quantizer is None:
        return places[:1]
    if len(places) > 1 and _fixed_kind(graph, places[0]):
        return places[1:]
    kept = {place for place in places[1:] if _is_joined(graph, place)}
    return [place for place in places if place not in kept]


def _fixed_kind(graph: LiteGraph, place: int) -> bool:
    return any(place in one.outputs and one.kind in FIXED for one in graph.operators)


def _is_joined(graph: LiteGraph, place: int) -> bool:
    readers = [one.kind for one in graph.operators if place in one.inputs]
    return bool(readers) and all(kind in JOINING for kind in readers)


def _output(tensor: LiteTensor, place: int, quantizer: Affine | None) -> TensorChange:
    if quantizer is None:
        return TensorChange(place, np.dtype(np.float32), None)
    if tensor.dtype.itemsize == 1 and quantizer.quant_min >= -128 and quantizer.quant_max <= 255:
        dtype = np.dtype(np.int8 if quantizer.quant_min < 0 else np.uint8)
        return TensorChange(place, dtype, quantization_of(quantizer, 0))
    return TensorChange(place, np.dtype(np.int16), as_int16(quantizer))


def as_int16(quantizer: Affine) -> LiteQuantization:
    """The range of a quantizer in int16, whose zero point has to be 0."""
    scale, zero = float(quantizer.scale), float(quantizer.zero_point)
    if zero != 0.0 or quantizer.quant_max > 32767:
        scale *= max(quantizer.quant_max - zero, zero - quantizer.quant_min) / 32767.0
    return LiteQuantization(np.asarray([scale], np.float32), np.zeros(1, np.int64), 0)


def quantization_of(quantizer: Affine, axis: int) -> LiteQuantization:
    """Scales and zero points as the file stores them."""
    scales = quantizer.scale.detach().cpu().reshape(-1).numpy().astype(np.float32)
    zeros = quantizer.zero_point.detach().cpu().reshape(-1).numpy().astype(np.int64)
    return LiteQuantization(scales, np.broadcast_to(zeros, scales.shape).copy(), axis if scales.size > 1 else 0)


def dtype_of(quantizer: Affine) -> np.dtype[Any]:
    """The smallest type of integers of a constant that holds those of a quantizer."""
    kinds = (np.int8, np.uint8, np.int16, np.int32, np.int64)
    for kind in kinds:
        limits = np.iinfo(kind)
        if limits.min <= quantizer.quant_min and quantizer.quant_max <= limits.max:
            return np.dtype(kind)
    raise WriteError(f"no type of LiteRT holds {quantizer.record().bits} bits")
