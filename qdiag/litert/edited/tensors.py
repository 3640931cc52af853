"""Tensors of a file as objects of its schema: what they hold, and new ones like them."""

from typing import Any, Literal

import numpy as np

from qdiag.litert.edited.change import TensorChange
from qdiag.litert.model import Array, LiteQuantization, dequantized

Storage = Literal["float", "int", "wide", "other"]
"""Floats, integers of 8 bits, of 16, and what stands for itself or belongs to a bias."""
_STORED: dict[str, Storage] = {"FLOAT32": "float", "INT8": "int", "UINT8": "int", "INT4": "int", "INT16": "wide"}
_DTYPES = {
    "FLOAT32": np.float32,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT4": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
}


class Tensors:
    """The tensors of one network of a file."""

    def __init__(self, schema: Any, model: Any, graph: Any) -> None:
        self._schema, self._model, self._graph = schema, model, graph
        self._types = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
        self._names = {_text(tensor.name) for tensor in graph.tensors}

    def change(self, change: TensorChange) -> None:
        """Makes a tensor what it shall be."""
        tensor = self._graph.tensors[change.place]
        tensor.type = getattr(self._schema.TensorType, change.dtype.name.upper())
        self._quantize(tensor, change.quantization)
        if change.data is not None:
            tensor.buffer = self._buffer(change.data)

    def type_name(self, place: int) -> str:
        """As the schema has it."""
        return str(self._types[self._graph.tensors[place].type])

    def storage(self, place: int) -> Storage:
        """How numbers are held."""
        tensor, name = self._graph.tensors[place], self.type_name(place)
        found = _STORED.get(name, "other")
        has_scale = tensor.quantization is not None and tensor.quantization.scale is not None
        return found if found == "float" or (has_scale and len(tensor.quantization.scale)) else "other"

    def is_constant(self, place: int) -> bool:
        buffer = self._model.buffers[self._graph.tensors[place].buffer]
        return (buffer.data is not None and len(buffer.data) > 0) or bool(buffer.offset > 1 and buffer.size)

    def quantization(self, place: int) -> LiteQuantization:
        stored = self._graph.tensors[place].quantization
        scales = np.asarray(stored.scale, np.float32)
        zeros = np.asarray(stored.zeroPoint if stored.zeroPoint is not None else [], np.int64)
        zeros = zeros if zeros.size else np.zeros(1, np.int64)
        return LiteQuantization(scales, np.broadcast_to(zeros, scales.shape), int(stored.quantizedDimension))

    def has_zero_point(self, place: int) -> bool:
        return self.storage(place) == "int" and bool(self.quantization(place).zero_points.any())

    def is_same(self, place: int, other: int) -> bool:
        """Both are of one type, at one scale and zero point."""
        one, two = self.quantization(place), self.quantization(other)
        is_at_one = np.array_equal(one.scales, two.scales) and np.array_equal(one.zero_points, two.zero_points)
        return is_at_one and self.type_name(place) == self.type_name(other)

    def like(self, place: int, suffix: str, type_name: str, quantization: LiteQuantization | None) -> int:
        """A new tensor of the same shape; its place."""
        old, made = self._graph.tensors[place], self._schema.TensorT()
        name = f"{_text(old.name)}/{suffix}"
        while name in self._names:
            name += "_"
        self._names.add(name)
        made.name, made.type, made.buffer = name, getattr(self._schema.TensorType, type_name), 0
        made.shape, made.shapeSignature, made.hasRank = old.shape, old.shapeSignature, old.hasRank
        self._quantize(made, quantization)
        self._graph.tensors.append(made)
        return len(self._graph.tensors) - 1

    def dtype(self, place: int) -> np.dtype[Any]:
        """Of the elements."""
        return np.dtype(_DTYPES[self.type_name(place)])

    def as_at(self, place: int, other: int) -> int:
        """A new tensor of this shape, in the integers of another one."""
        return self.like(place, "requantized", self.type_name(other), self.quantization(other))

    def as_floats(self, place: int) -> int:
        """A constant as floats: itself where it stands for itself."""
        tensor, name = self._graph.tensors[place], self.type_name(place)
        stored = tensor.quantization
        if name not in _DTYPES or name == "FLOAT32" or stored is None or stored.scale is None or not len(stored.scale):
            return place
        made = self.like(place, "float", "FLOAT32", None)
        values = dequantized(self._values(place), self.quantization(place))
        self._graph.tensors[made].buffer = self._buffer(values)
        return made

    def bias_for(self, bias: int, source: int, weight: int, dtype: Any) -> int:
        """A bias in the integers that go with these scales of input and weight."""
        scales = self.quantization(source).scales * self.quantization(weight).scales
        is_so = self.dtype(bias) == np.dtype(dtype) and np.array_equal(self.quantization(bias).scales, scales)
        if is_so:
            return bias
        made = self.like(bias, "int64", np.dtype(dtype).name.upper(), None)
        tensor = self._graph.tensors[made]
        self._quantize(tensor, LiteQuantization(scales.astype(np.float32), np.zeros(scales.size, np.int64), 0))
        real = self._values(bias).astype(np.float64) * self.quantization(bias).scales.astype(np.float64)
        tensor.buffer = self._buffer(np.rint(real / scales.astype(np.float64)).astype(dtype))
        return made

    def _values(self, place: int) -> Array:
        tensor, name = self._graph.tensors[place], self.type_name(place)
        raw = np.asarray(self._model.buffers[tensor.buffer].data, np.uint8)
        count = int(np.prod(tensor.shape, dtype=np.int64))
        if name == "INT4":
            halves = np.stack([raw & 15, raw >> 4], axis=-1).reshape(-1)[:count].astype(np.int8)
            values = np.where(halves > 7, halves - 16, halves).astype(np.int8)
        else:
            values = np.frombuffer(raw.tobytes(), np.dtype(_DTYPES[name]).newbyteorder("<"))
        return values.reshape([int(size) for size in tensor.shape])

    def _quantize(self, tensor: Any, wanted: LiteQuantization | None) -> None:
        if wanted is None:
            tensor.quantization = None
            return
        made = self._schema.QuantizationParametersT()
        made.scale, made.zeroPoint = np.asarray(wanted.scales, np.float32), np.asarray(wanted.zero_points, np.int64)
        made.quantizedDimension = wanted.axis
        tensor.quantization = made

    def _buffer(self, values: Array) -> int:
        made = self._schema.BufferT()
        raw = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<")).tobytes()
        made.data = np.frombuffer(raw, np.uint8)
        self._model.buffers.append(made)
        return len(self._model.buffers) - 1


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
