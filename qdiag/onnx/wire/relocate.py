"""An ONNX file that names other files for its tensors, with other names and offsets, and every other byte as it was."""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from qdiag.onnx.wire.fields import Field, entry, fields
from qdiag.onnx.wire.places import TENSOR_EXTERNAL, external_entries, external_entry

INSIDE: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
}
"""The messages of onnx.proto that lead to a tensor, by the numbers of their fields."""
_DEPTH_MAX = 96

Entries: TypeAlias = Mapping[str, str]


def locations(content: bytes) -> tuple[str, ...]:
    """The files that hold tensors, as the ONNX file names them, in the order in which they are first named."""
    found: dict[str, None] = {}
    for where in _external(content, Field(0, 0, 0, len(content)), "model", 0):
        found.setdefault(where.get("location", ""))
    return tuple(found)


def relocated(content: bytes, change: Callable[[Entries], Entries]) -> bytes:
    """The file with other entries for each tensor that stands in another file.

    Args:
        change: from all its entries to those that are set: new values in place of the old, new keys behind them.
    """
    return _rewritten(content, Field(0, 0, 0, len(content)), "model", change, 0)


def _external(content: bytes, message: Field, kind: str, depth: int) -> Iterator[Entries]:
    if depth > _DEPTH_MAX:
        raise ValueError("messages that are nested too deep")
    for field in fields(content, message.start, message.end):
        inner = INSIDE[kind].get(field.number)
        if inner == "tensor":
            where = external_entries(content, field)
            yield from [where] if where else []
        elif inner is not None:
            yield from _external(content, field, inner, depth + 1)


def _rewritten(content: bytes, message: Field, kind: str, change: Callable[[Entries], Entries], depth: int) -> bytes:
    if depth > _DEPTH_MAX:
        raise ValueError("messages that are nested too deep")
    out, is_new = [], False
    for field in fields(content, message.start, message.end):
        inner, old = INSIDE[kind].get(field.number), content[field.start : field.end]
        if inner is None:
            new = old
        elif inner == "tensor":
            new = _tensor(content, field, change)
        else:
            new = _rewritten(content, field, inner, change, depth + 1)
        is_new |= new != old
        out.append(content[field.first : field.end] if new == old else entry(field.number, new))
    return b"".join(out) if is_new else content[message.start : message.end]


def _tensor(content: bytes, tensor: Field, change: Callable[[Entries], Entries]) -> bytes:
    old = external_entries(content, tensor)
    if not old:
        return content[tensor.start : tensor.end]
    new, last = dict(change(old)), 0
    out: list[bytes] = []
    for field in fields(content, tensor.start, tensor.end):
        whole = content[field.first : field.end]
        if field.number == TENSOR_EXTERNAL:
            key, value = external_entry(content, field)
            wanted = new.pop(key, value)
            whole, last = (whole if wanted == value else _entry(key, wanted)), len(out) + 1
        out.append(whole)
    out[last:last] = [_entry(key, value) for key, value in new.items()]
    return b"".join(out)


def _entry(key: str, value: str) -> bytes:
    return entry(TENSOR_EXTERNAL, entry(1, key.encode()) + entry(2, value.encode()))
