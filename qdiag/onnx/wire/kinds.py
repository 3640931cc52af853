"""Which operators an ONNX file has, without reading its tensors."""

from collections.abc import Iterator

from qdiag.onnx.wire.fields import Field, fields

_INSIDE = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node"},
    "graph": {1: "node"},
    "node": {5: "attribute"},
    "attribute": {6: "graph", 11: "graph"},
}
"""The messages of onnx.proto that lead to a node, by the numbers of their fields."""
_NODE_KIND, _NODE_DOMAIN = 4, 7
_DEPTH_MAX = 64


def operator_kinds(content: bytes) -> Iterator[tuple[str, str]]:
    """Operator and domain of every node, of inner graphs and functions too.

    Raises:
        ValueError: the file is cut short, damaged, or nested too deep.
    """
    yield from _of_message(content, Field(0, 0, 0, len(content)), "model", 0)


def _of_message(content: bytes, message: Field, kind: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEPTH_MAX:
        raise ValueError("messages that are nested too deep")
    texts = {_NODE_KIND: "", _NODE_DOMAIN: ""}
    for field in fields(content, message.start, message.end):
        inner = _INSIDE[kind].get(field.number)
        if inner is not None:
            yield from _of_message(content, field, inner, depth + 1)
        elif kind == "node" and field.number in texts:
            texts[field.number] = content[field.start : field.end].decode()
    if kind == "node":
        yield texts[_NODE_KIND], texts[_NODE_DOMAIN]
