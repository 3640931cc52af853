"""Parts of tensors: slices, splits, look-ups; and parts put in their place."""

from collections.abc import Mapping, Sequence

import numpy as np

from qdiag.exporters.onnx.call import Call, Named, Size
from qdiag.exporters.onnx.operators.kind import Writer, Written

_END = 2**63 - 1


def _key(call: Call) -> str:
    return "self" if call.has("self") else "input"


def _cut(call: Call, x: str, axis: int, start: object, end: object, step: int = 1, suffix: str = "") -> str:
    bounds = (call.sizes([start]), call.sizes([end]), call.graph.integers([axis]), call.graph.integers([step]))
    return call.moved(x, "Slice", *bounds, suffix=suffix)


def _slice(call: Call) -> str:
    key = _key(call)
    axis = call.axis("dim", len(call.shape(key)))
    start, end, step = call.get("start", 0), call.get("end", _END), int(call.get("step", 1))
    if start == 0 and end == _END and step == 1:
        return call.tensor(key)
    return _cut(call, call.tensor(key), axis, start, end, step)


def _narrow(call: Call) -> str:
    start, length = call.get("start"), call.get("length")
    if not isinstance(start, int) or not isinstance(length, int):
        raise call.error("of a length that depends on the data is not written")
    return _cut(call, call.tensor("self"), call.axis("dim", len(call.shape("self"))), start, start + length)


def _select(call: Call) -> str:
    index = call.get("index")
    axis = call.axis("dim", len(call.shape("self")))
    if isinstance(index, Size):
        raise call.error("of an element that depends on the shape is not written")
    place = call.graph.constant(f"index_{index}", np.array(int(index), np.int64))
    return call.moved(call.tensor("self"), "Gather", place, axis=axis)


def _split_into(call: Call, lengths: Sequence[int], axis: int) -> list[str]:
    x = call.tensor(_key(call))
    parts = call.graph.add_several("Split", (x, call.graph.integers(lengths)), call.name, len(lengths), axis=axis)
    return [call.graph.with_quantizer_of(x, part, f"{call.name}_{i}") for i, part in enumerate(parts)]


def _split(call: Call) -> list[str]:
    """Lengths are those of the example: an axis that is split has one length."""
    axis = call.axis("dim", len(call.shape(_key(call))))
    return _split_into(call, [int(part.shape[axis]) for part in call.example()], axis)


def _unbind(call: Call) -> list[str]:
    shape = call.shape("self")
    axis = call.axis("dim", len(shape))
    parts = _split_into(call, [1] * shape[axis], axis)
    axes = call.graph.integers([axis])
    return [call.moved(part, "Squeeze", axes, suffix=f"/{i}") for i, part in enumerate(parts)]


def _getitem(call: Call) -> Written:
    chosen = call.get("0")[call.get("1")]
    return chosen.name if isinstance(chosen, Named) else chosen


def _index(call: Call) -> str:
    indices = call.get("indices")
    axes = [i for i, one in enumerate(indices) if one is not None]
    if len(axes) != 1:
        raise call.error("by several indices at once is not written")
    return call.moved(call.tensor("self"), "Gather", indices[axes[0]].name, axis=axes[0])


def _index_select(call: Call) -> str:
    return call.moved(call.tensor("self"), "Gather", call.tensor("index"), axis=int(call.get("dim")))


def _gather(call: Call) -> str:
    key = "index" if call.has("index") else "indices"
    return call.moved(call.tensor("self"), "GatherElements", call.tensor(key), axis=int(call.get("dim")))


def _flip(call: Call) -> str:
    x = call.tensor("self")
    for axis in call.get("dims"):
        x = _cut(call, x, int(axis) % len(call.shape("self")), -1, -_END, -1, suffix=f"/{axis}")
    return x


def _roll(call: Call) -> str:
    x, shape = call.tensor("self"), call.shape("self")
    for shift, axis in zip(call.get("shifts"), call.get("dims"), strict=True):
        axis = int(axis) % len(shape)
        cut = -int(shift) % shape[axis]
        parts = (_cut(call, x, axis, cut, _END, suffix="/last"), _cut(call, x, axis, 0, cut, suffix="/first"))
        x = call.graph.moved(x, "Concat", parts, f"{call.name}/{axis}", axis=axis)
    return x


def _concat(call: Call) -> str:
    parts = [one.name for one in call.get("tensors")]
    return call.add("Concat", *parts, axis=int(call.get("dim", 0)))


def _stack(call: Call) -> str:
    axis = int(call.get("dim", 0)) % len(call.shape())
    axes = call.graph.integers([axis])
    parts = [call.moved(one.name, "Unsqueeze", axes, suffix=f"/{i}") for i, one in enumerate(call.get("tensors"))]
    return call.add("Concat", *parts, axis=axis)


def _slice_scatter(call: Call) -> str:
    """What stands before the part, the part, and what stands after it."""
    x, shape = call.tensor("self"), call.shape("self")
    axis = call.axis("dim", len(shape))
    start, end, step = int(call.get("start", 0)), int(call.get("end", _END)), int(call.get("step", 1))
    if step != 1:
        raise call.error("with a step is not written")
    start, end = (min(n + shape[axis] if n < 0 else n, shape[axis]) for n in (start, end))
    parts = [_cut(call, x, axis, 0, start, suffix="/before")] if start else []
    parts.append(call.tensor("src"))
    parts += [_cut(call, x, axis, end, _END, suffix="/after")] if end < shape[axis] else []
    return call.add("Concat", *parts, axis=axis)


def _copy(call: Call) -> str:
    """The values of `src` in the shape of what they are written over."""
    source = call.tensor("src")
    if call.shape("src") == call.shape("self"):
        return source
    return call.moved(source, "Expand", call.add("Shape", call.tensor("self"), suffix="/shape"))


def _masked_fill(call: Call) -> str:
    x = call.tensor("self")
    filled = call.add("Where", call.tensor("mask"), call.operand("value"), x)
    return call.graph.with_quantizer_of(x, filled, call.name)


def _embedding(call: Call) -> str:
    return call.add("Gather", call.tensor("weight"), call.tensor("indices"), axis=0)


OPERATORS: Mapping[str, Writer] = {
    "slice": _slice,
    "narrow": _narrow,
    "select": _select,
    **dict.fromkeys(("split", "split_with_sizes", "chunk", "tensor_split"), _split),
    "unbind": _unbind,
    "getitem": _getitem,
    "index": _index,
    "index_select": _index_select,
    **dict.fromkeys(("gather", "take_along_dim"), _gather),
    "flip": _flip,
    "roll": _roll,
    **dict.fromkeys(("cat", "concat"), _concat),
    "stack": _stack,
    "slice_scatter": _slice_scatter,
    "copy": _copy,
    "masked_fill": _masked_fill,
    "embedding": _embedding,
}
