"""LiteRT files, by their flatbuffer schema: tables of numbers, and nothing in them that runs."""

from collections import Counter
from typing import Any

import numpy as np

from qdiag.errors import LoadError
from qdiag.litert.model import Array, LiteGraph, LiteOperator, LiteQuantization, LiteTensor

INSTALL_HINT = "pip install 'qdiag[litert]'"
_DAMAGED_HINT = "it is damaged; copy or save it again"
_RANK_MAX = 8
_TYPES = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "FLOAT64": np.float64,
    "INT32": np.int32,
    "UINT8": np.uint8,
    "INT64": np.int64,
    "BOOL": np.bool_,
    "INT16": np.int16,
    "INT8": np.int8,
    "UINT32": np.uint32,
    "UINT16": np.uint16,
    "INT4": np.int8,
}


def parse(content: bytes, at: str) -> LiteGraph:
    """The network of a file.

    Raises:
        LoadError: a damaged file, one with several entrances, tensors of types that are not read, or the package with
            the schema is not installed.
    """
    schema = _schema(at)
    try:
        model = schema.ModelT.InitFromPackedBuf(content)
        return _Reader(schema, model, content).graph()
    except LoadError as error:
        error.at = error.at or at
        raise
    # flatbuffers checks nothing, and damaged offsets end in as many ways as there are types
    except Exception as error:
        raise LoadError("the LiteRT file cannot be read", at=at, hint=_DAMAGED_HINT) from error


def _schema(at: str) -> Any:
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise LoadError(
            f"reading LiteRT files needs the package {error.name or 'ai-edge-litert'}", at=at, hint=INSTALL_HINT
        ) from error
    return schema_py_generated


class _Reader:
    def __init__(self, schema: Any, model: Any, content: bytes) -> None:
        self._model = model
        self._content = content
        self._types = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
        self._kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
        self._used: Counter[str] = Counter()

    def graph(self) -> LiteGraph:
        graphs = self._model.subgraphs or []
        if not graphs:
            raise LoadError("the LiteRT file holds no network", hint=_DAMAGED_HINT)
        signatures = self._model.signatureDefs or []
        if len({signature.subgraphIndex for signature in signatures}) > 1:
            names = ", ".join(_text(signature.signatureKey) for signature in signatures[:8])
            raise LoadError(
                f"the file holds several networks: {names}", hint="convert one of them to a file of its own"
            )
        main = graphs[signatures[0].subgraphIndex if signatures else 0]
        tensors = tuple(self._tensor(place, tensor) for place, tensor in enumerate(_list(main.tensors)))
        operators = tuple(self._operator(operator, len(tensors)) for operator in _list(main.operators))
        inputs = _places(main.inputs, len(tensors), 0)
        return LiteGraph(tensors, operators, inputs, _places(main.outputs, len(tensors), 0))

    def _tensor(self, place: int, tensor: Any) -> LiteTensor:
        name = _text(tensor.name) or f"tensor {place}"
        self._used[name] += 1
        if self._used[name] > 1:
            name = f"{name} {place}"
        kind = self._types.get(tensor.type, f"type {tensor.type}")
        shape = tuple(int(size) for size in _list(tensor.shape))
        if len(shape) > _RANK_MAX or any(size < 0 for size in shape):
            raise LoadError(f"the tensor {name} has the shape {shape}", hint=_DAMAGED_HINT)
        signature = [int(size) for size in _list(tensor.shapeSignature)] or list(shape)
        is_free = tuple(size < 0 for size in signature) if len(signature) == len(shape) else (False,) * len(shape)
        if kind not in _TYPES:
            raise LoadError(
                f"the tensor {name} is of type {kind}, which is not read",
                hint="give the part of the network that computes with numbers",
            )
        if tensor.sparsity is not None:
            raise LoadError(
                f"the tensor {name} is stored sparsely, which is not read",
                hint="convert the network with dense weights: those that were pruned stay zero",
            )
        dtype = np.dtype(_TYPES[kind])
        data = self._data(tensor, name, kind, dtype, shape)
        return LiteTensor(name, shape, is_free, dtype, data, self._quantization(tensor, name, shape))

    def _data(self, tensor: Any, name: str, kind: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array | None:
        if tensor.externalBuffer:
            raise LoadError(
                f"the values of {name} stand in another file, which is not read",
                hint="save the network with its tensors inside",
            )
        buffer = self._model.buffers[tensor.buffer]
        raw = np.asarray(buffer.data if buffer.data is not None else [], dtype=np.uint8)
        if not raw.size and buffer.offset > 1:
            raw = np.frombuffer(self._content, np.uint8)[buffer.offset : buffer.offset + buffer.size]
        if not raw.size:
            return None
        count = int(np.prod(shape, dtype=np.int64))
        if kind == "INT4":
            halves = np.stack([raw & 15, raw >> 4], axis=-1).reshape(-1)[:count].astype(np.int8)
            values = np.where(halves > 7, halves - 16, halves).astype(np.int8)
        else:
            values = np.frombuffer(raw.tobytes(), dtype.newbyteorder("<")).astype(dtype)
        if values.size != count:
            raise LoadError(f"the tensor {name} of shape {shape} holds {values.size} values", hint=_DAMAGED_HINT)
        return values.reshape(shape)

    def _quantization(self, tensor: Any, name: str, shape: tuple[int, ...]) -> LiteQuantization | None:
        stored = tensor.quantization
        scales = np.asarray(_list(stored.scale) if stored is not None else [], dtype=np.float32)
        if not scales.size:
            return None
        if stored.detailsType:
            raise LoadError(
                f"the tensor {name} is quantized in blocks, which is not read",
                hint="give the float network, and a scheme with `group_size` in it",
            )
        zeros = np.asarray(_list(stored.zeroPoint), dtype=np.int64)
        zeros = zeros if zeros.size else np.zeros(scales.size, np.int64)
        if zeros.size == 1:
            zeros = np.repeat(zeros, scales.size)
        axis = int(stored.quantizedDimension)
        fits = scales.size == 1 or (0 <= axis < len(shape) and shape[axis] == scales.size)
        if not fits or zeros.size != scales.size or not np.isfinite(scales).all() or (scales < 0).any():
            raise LoadError(f"the quantization of {name} does not fit its shape {shape}", hint=_DAMAGED_HINT)
        return LiteQuantization(scales, zeros, axis if scales.size > 1 else 0)

    def _operator(self, operator: Any, count: int) -> LiteOperator:
        code = self._model.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        kind = self._kinds.get(number, f"operator {number}")
        if kind == "CUSTOM":
            kind = f"custom {_text(code.customCode)}"
        options = dict(vars(operator.builtinOptions)) if operator.builtinOptions is not None else {}
        return LiteOperator(kind, _places(operator.inputs, count, -1), _places(operator.outputs, count, 0), options)


def _places(values: Any, count: int, least: int) -> tuple[int, ...]:
    places = tuple(int(value) for value in _list(values))
    if not all(least <= place < count for place in places):
        raise LoadError("the network names a tensor that is not there", hint=_DAMAGED_HINT)
    return places


def _list(values: Any) -> list[Any]:
    return [] if values is None else list(values)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
