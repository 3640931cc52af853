"""Where the values of the tensors of an ONNX file stand, so that they can be changed and every other byte stays."""

from collections.abc import Iterator
from dataclasses import dataclass

from qdiag.onnx.wire.fields import Field, fields, varint

# numbers of the fields that lead to a tensor, of onnx.proto
_MODEL_GRAPH, _GRAPH_NODE, _GRAPH_INITIALIZER = 7, 1, 5
_NODE_OUTPUT, _NODE_ATTRIBUTE, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 2, 5, 5, 6, 11
_TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_NAME, _TENSOR_RAW, TENSOR_EXTERNAL, _TENSOR_LOCATION = 2, 4, 8, 9, 13, 14
_KEY, _VALUE = 1, 2
_DTYPES = {1: "<f4", 10: "<f2", 11: "<f8"}
_DEPTH_MAX = 16


@dataclass(frozen=True)
class Place:
    """The values of one tensor, in one piece.

    Attributes:
        name: of the tensor; of the output where a `Constant` holds it.
        start, end: which bytes of the file; an end of None is that of the file.
        dtype: of an element, as numpy spells it; None where it is no float.
        location: the file, as the ONNX file names it; empty for the ONNX file itself.
    """

    name: str
    start: int
    end: int | None
    dtype: str | None
    location: str = ""


def places(content: bytes) -> Iterator[Place]:
    """Every tensor of floats whose values stand in one piece, and every tensor in another file; of inner graphs too."""
    for field in fields(content, 0, len(content)):
        if field.number == _MODEL_GRAPH:
            yield from _of_graph(content, field, 0)


def external_entries(content: bytes, tensor: Field) -> dict[str, str]:
    """Where a tensor in another file stands: `location`, `offset`, `length`; empty for one that stands in this file."""
    inside = list(fields(content, tensor.start, tensor.end))
    if not any(f.number == _TENSOR_LOCATION and varint(content, f.start)[0] == 1 for f in inside):
        return {}
    return dict(external_entry(content, f) for f in inside if f.number == TENSOR_EXTERNAL)


def external_entry(content: bytes, field: Field) -> tuple[str, str]:
    """Key and value of one of them."""
    texts = {f.number: content[f.start : f.end].decode() for f in fields(content, field.start, field.end)}
    return texts.get(_KEY, ""), texts.get(_VALUE, "")


def _of_graph(content: bytes, graph: Field, depth: int) -> Iterator[Place]:
    if depth > _DEPTH_MAX:
        return
    for field in fields(content, graph.start, graph.end):
        if field.number == _GRAPH_INITIALIZER:
            yield from _of_tensor(content, field, None)
        elif field.number == _GRAPH_NODE:
            yield from _of_node(content, field, depth)


def _of_node(content: bytes, node: Field, depth: int) -> Iterator[Place]:
    inside = list(fields(content, node.start, node.end))
    outputs = [content[f.start : f.end].decode() for f in inside if f.number == _NODE_OUTPUT]
    for attribute in inside:
        if attribute.number != _NODE_ATTRIBUTE:
            continue
        for field in fields(content, attribute.start, attribute.end):
            if field.number == _ATTRIBUTE_TENSOR:
                yield from _of_tensor(content, field, outputs[0] if outputs else "")
            elif field.number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
                yield from _of_graph(content, field, depth + 1)


def _of_tensor(content: bytes, tensor: Field, name: str | None) -> Iterator[Place]:
    inside = list(fields(content, tensor.start, tensor.end))
    kinds = [varint(content, f.start)[0] for f in inside if f.number == _TENSOR_TYPE]
    dtype = _DTYPES.get(kinds[0]) if kinds else None
    if name is None:
        name = next((content[f.start : f.end].decode() for f in inside if f.number == _TENSOR_NAME), "")
    where = external_entries(content, tensor)
    if where:
        start, length = int(where.get("offset", 0) or 0), int(where.get("length", 0) or 0)
        yield Place(name, start, start + length if length else None, dtype, where.get("location", ""))
        return
    wanted = (_TENSOR_RAW, _TENSOR_FLOATS) if dtype == "<f4" else (_TENSOR_RAW,)
    pieces = [f for f in inside if f.number in wanted]
    if dtype is not None and len(pieces) == 1:
        yield Place(name, pieces[0].start, pieces[0].end, dtype)
