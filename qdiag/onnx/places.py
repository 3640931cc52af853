"""Where in an ONNX file the values of its tensors stand, so that they can be changed and every other byte stays.

Only the wire format of protocol buffers is read here: a file is a message, a message is a row of fields, a field is a
number with a kind and a value (protobuf.dev, "Encoding").
"""

from collections.abc import Iterator
from dataclasses import dataclass

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# numbers of the fields that lead to a tensor, of onnx.proto
_MODEL_GRAPH, _GRAPH_NODE, _GRAPH_INITIALIZER = 7, 1, 5
_NODE_OUTPUT, _NODE_ATTRIBUTE, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 2, 5, 5, 6, 11
_TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_NAME, _TENSOR_RAW = 2, 4, 8, 9
_DTYPES = {1: "<f4", 10: "<f2", 11: "<f8"}
_DEPTH_MAX = 16


@dataclass(frozen=True)
class Place:
    """The values of one tensor, in one piece.

    Attributes:
        name: of the tensor; of the output where a `Constant` holds it.
        start, end: which bytes of the file.
        dtype: of an element, as numpy spells it.
    """

    name: str
    start: int
    end: int
    dtype: str


def float_places(content: bytes) -> Iterator[Place]:
    """Every tensor of floats whose values stand in one piece, with those of inner graphs."""
    for number, start, end in _fields(content, 0, len(content)):
        if number == _MODEL_GRAPH:
            yield from _of_graph(content, start, end, 0)


def _of_graph(content: bytes, start: int, end: int, depth: int) -> Iterator[Place]:
    if depth > _DEPTH_MAX:
        return
    for number, inner, stop in _fields(content, start, end):
        if number == _GRAPH_INITIALIZER:
            yield from _of_tensor(content, inner, stop, None)
        elif number == _GRAPH_NODE:
            yield from _of_node(content, inner, stop, depth)


def _of_node(content: bytes, start: int, end: int, depth: int) -> Iterator[Place]:
    fields = list(_fields(content, start, end))
    outputs = [content[inner:stop].decode() for number, inner, stop in fields if number == _NODE_OUTPUT]
    for number, inner, stop in fields:
        if number != _NODE_ATTRIBUTE:
            continue
        for kind, first, last in _fields(content, inner, stop):
            if kind == _ATTRIBUTE_TENSOR:
                yield from _of_tensor(content, first, last, outputs[0] if outputs else "")
            elif kind in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                yield from _of_graph(content, first, last, depth + 1)


def _of_tensor(content: bytes, start: int, end: int, name: str | None) -> Iterator[Place]:
    fields = list(_fields(content, start, end))
    kinds = [_varint(content, inner)[0] for number, inner, _ in fields if number == _TENSOR_TYPE]
    dtype = _DTYPES.get(kinds[0]) if kinds else None
    if name is None:
        name = next((content[inner:stop].decode() for number, inner, stop in fields if number == _TENSOR_NAME), "")
    wanted = (_TENSOR_RAW, _TENSOR_FLOATS) if dtype == "<f4" else (_TENSOR_RAW,)
    pieces = [(inner, stop) for number, inner, stop in fields if number in wanted]
    if dtype is not None and len(pieces) == 1:
        yield Place(name, *pieces[0], dtype)


def _fields(content: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, and where the value begins and ends. Raises `ValueError` where a value reaches beyond the message."""
    at = start
    while at < end:
        key, at = _varint(content, at)
        kind = key & 7
        if kind == _VARINT:
            _, stop = _varint(content, at)
            first = at
        elif kind == _BYTES:
            length, first = _varint(content, at)
            stop = first + length
        elif kind in (_FIXED64, _FIXED32):
            first, stop = at, at + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError(f"a field of the kind {kind}")
        if stop > end:
            raise ValueError("a field that reaches beyond its message")
        yield key >> 3, first, stop
        at = stop


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """The number, seven bits a byte, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise ValueError("a number without an end")
