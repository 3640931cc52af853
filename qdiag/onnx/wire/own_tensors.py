"""An ONNX file in which some nodes read tensors of their own, and every other byte as it was."""

from dataclasses import dataclass

import numpy as np

from qdiag.onnx.wire.fields import Field, entry, fields, number, varint

# numbers of the fields, of onnx.proto
_MODEL_VERSION, _MODEL_GRAPH, _GRAPH_NODE, _GRAPH_INITIALIZER = 1, 7, 1, 5
_NODE_INPUT, _NODE_OUTPUT = 1, 2
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_TYPES = {"<f4": 1, "<f2": 10, "<f8": 11}
_VERSION_MIN = 4
"""From which on tensors need not be inputs of the network as well."""


@dataclass(frozen=True)
class OwnTensor:
    """What one node reads at a place: its first output, the place, and the values, of one axis."""

    output: str
    place: int
    name: str
    values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]


def with_own_tensors(content: bytes, tensors: list[OwnTensor]) -> bytes:
    """The file with these tensors behind the others, and with nodes that read them.

    Raises:
        ValueError: a node is not there, or the file is of a version whose tensors are inputs of the network.
    """
    out, has_version = list[bytes](), False
    missing = {(one.output, one.place): one for one in tensors}
    for field in fields(content, 0, len(content)):
        whole = content[field.first : field.end]
        if field.number == _MODEL_VERSION:
            has_version = varint(content, field.start)[0] >= _VERSION_MIN
        out.append(entry(_MODEL_GRAPH, _graph(content, field, missing)) if field.number == _MODEL_GRAPH else whole)
    if missing or not has_version:
        raise ValueError("no such node, or a version before 4")
    return b"".join(out)


def _graph(content: bytes, graph: Field, missing: dict[tuple[str, int], OwnTensor]) -> bytes:
    out, new, last = list[bytes](), [_tensor(one) for one in missing.values()], 0
    for field in fields(content, graph.start, graph.end):
        whole = content[field.first : field.end]
        out.append(_node(content, field, missing) if field.number == _GRAPH_NODE else whole)
        last = len(out) if field.number == _GRAPH_INITIALIZER else last
    out[last or len(out) : last or len(out)] = new
    return b"".join(out)


def _node(content: bytes, node: Field, missing: dict[tuple[str, int], OwnTensor]) -> bytes:
    inside = list(fields(content, node.start, node.end))
    outputs = [content[f.start : f.end].decode() for f in inside if f.number == _NODE_OUTPUT]
    out, place, is_new = list[bytes](), 0, False
    for field in inside:
        whole = content[field.first : field.end]
        if field.number == _NODE_INPUT:
            own = missing.pop((outputs[0] if outputs else "", place), None)
            whole, is_new = (whole, is_new) if own is None else (entry(_NODE_INPUT, own.name.encode()), True)
            place += 1
        out.append(whole)
    return entry(_GRAPH_NODE, b"".join(out)) if is_new else content[node.first : node.end]


def _tensor(own: OwnTensor) -> bytes:
    values = np.ascontiguousarray(own.values)
    kind = _TYPES[values.dtype.newbyteorder("<").str]
    parts = (number(_TENSOR_DIMS, values.size), number(_TENSOR_TYPE, kind), entry(_TENSOR_NAME, own.name.encode()))
    raw = entry(_TENSOR_RAW, values.astype(values.dtype.newbyteorder("<")).tobytes())
    return entry(_GRAPH_INITIALIZER, b"".join((*parts, raw)))
