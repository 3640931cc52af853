"""Joining, cutting and picking out parts."""

from collections.abc import Mapping

import numpy as np

from qdiag.litert.call import Call, Rule
from qdiag.litert.model import Array
from qdiag.litert.writer import TO_FIRST, Form


def _concat(call: Call) -> None:
    form, rank = call.form, len(call.output().shape)
    axis = call.axis(int(call.option("axis")), rank, form)
    parts = [_of_each_sample(call, index, form) for index in range(len(call.operator.inputs))]
    call.finished("Concat", parts, form, axis=axis)


def _of_each_sample(call: Call, index: int, form: Form) -> str:
    """A part; a constant of one sample, such as a class token, is joined to each of any number of samples."""
    part, tensor = call.read(index, form), call.tensor(index)
    if call.place(index) in call.writer.sampled or not (call.writer.is_free and call.is_sampled):
        return part
    if tensor.shape[:1] != (1,):
        call.needs_fixed_batch()
    place = next(i for i in range(len(call.operator.inputs)) if call.operator.inputs[i] in call.writer.sampled)
    shape = call.step("Shape", [call.read(place, form)], "shape beside it")
    count = call.step("Gather", [shape, call.writer.numbers([0])], "samples", axis=0)
    is_image = form == "first" and len(tensor.shape) == len(TO_FIRST)
    sizes = [tensor.shape[place] for place in TO_FIRST] if is_image else list(tensor.shape)
    wanted = call.step("Concat", [count, call.writer.numbers(sizes[1:])], "wanted shape", axis=0)
    return call.step("Expand", [part, wanted], "for each sample")


def _split(call: Call) -> None:
    """Equal parts, with the axis as first input; or parts of these sizes, with the axis as third."""
    is_equal = call.operator.kind == "SPLIT"
    data, axis_at = (1, 0) if is_equal else (0, 2)
    form = "first" if call.writer.has(call.place(data), "first") and len(call.tensor(data).shape) == 4 else "last"
    axis = call.axis(call.integers(axis_at)[0], len(call.tensor(data).shape), "last")
    sizes = [call.output(index).shape[axis] for index in range(len(call.operator.outputs))]
    place = (0, 2, 3, 1)[axis] if form == "first" else axis
    x = call.writer.read(call.place(data), "first" if form == "first" else "last")
    outputs = [call.put("first" if form == "first" else "last", index) for index in range(len(sizes))]
    call.writer.node("Split", [x, call.writer.numbers(sizes)], outputs, call.name, axis=place)


def _cut(call: Call, starts: list[int], ends: list[int], steps: list[int], dropped: list[int]) -> None:
    """Axes that are whole are left alone; `dropped` ones had one element and go."""
    form, shape = call.form, call.tensor(0).shape
    axes = [
        axis for axis, size in enumerate(shape) if not (starts[axis] == 0 and ends[axis] >= size and steps[axis] == 1)
    ]
    if 0 in axes or 0 in dropped:
        call.needs_fixed_batch()
    if dropped:
        form = "last"
    places = [(0, 2, 3, 1)[axis] if form == "first" and len(shape) == 4 else axis for axis in axes]
    lists = [[starts[a] for a in axes], [ends[a] for a in axes], places, [steps[a] for a in axes]]
    inputs = [call.read(0, form), *(call.writer.numbers(values) for values in lists)]
    if not dropped:
        call.node("Slice", inputs, call.put(form))
        return
    x = call.step("Slice", inputs, "part")
    call.node("Reshape", [x, call.writer.numbers(call.sizes())], call.put("last"))


def _slice(call: Call) -> None:
    """From a start, as many elements as are said; -1 for all that follow."""
    shape, starts, counts = call.tensor(0).shape, call.integers(1), call.integers(2)
    ends = [size if count == -1 else start + count for size, start, count in zip(shape, starts, counts, strict=True)]
    _cut(call, starts, ends, [1] * len(shape), [])


def _strided_slice(call: Call) -> None:
    shape, starts, ends, steps = call.tensor(0).shape, call.integers(1), call.integers(2), call.integers(3)
    if call.option("ellipsisMask") or call.option("newAxisMask"):
        raise call.error("slices with new axes or with axes left out are not computed")
    first, last, each = [0] * len(shape), list(shape), [1] * len(shape)
    dropped = []
    for axis, (start, end, step) in enumerate(zip(starts, ends, steps, strict=True)):
        size, is_dropped = shape[axis], bool(call.option("shrinkAxisMask") >> axis & 1)
        start = start + size if start < 0 else start
        end = end + size if end < 0 else end
        if is_dropped:
            first[axis], last[axis] = start, start + 1
            dropped.append(axis)
            continue
        if step < 1:
            raise call.error("slices that go backwards are not computed")
        first[axis] = 0 if call.option("beginMask") >> axis & 1 else start
        last[axis] = size if call.option("endMask") >> axis & 1 else min(end, size)
        each[axis] = step
    _cut(call, first, last, each, dropped)


def _gather(call: Call) -> None:
    if call.option("batchDims"):
        raise call.error("axes that are gone through side by side are not computed")
    places, rank = call.known(1).astype("int64"), len(call.tensor(0).shape)
    form = call.form if places.ndim == 1 and rank == len(TO_FIRST) else "last"
    axis = call.axis(int(call.option("axis")), rank, form)
    index = call.writer.constant(call.tensor(1).name, places, "computed")
    call.node("Gather", [call.read(0, form), index], call.put(form), axis=axis)


def _pack(call: Call) -> None:
    """Values side by side along a new axis."""
    rank = len(call.output().shape)
    axis = call.axis(int(call.option("axis")), rank, "last")
    count = len(call.operator.inputs)
    if any(call.tensor(index).data is not None for index in range(count)):
        call.needs_fixed_batch()
    where = call.writer.numbers([axis])
    parts = [call.step("Unsqueeze", [call.read(i, "last"), where], f"part {i + 1}") for i in range(count)]
    call.node("Concat", parts, call.put("last"), axis=axis)


def _unpack(call: Call) -> None:
    """The slices along an axis, without it."""
    axis = call.axis(int(call.option("axis")), len(call.tensor(0).shape), "last")
    x = call.read(0, "last")
    for index in range(len(call.operator.outputs)):
        name, place = call.output(index).name, call.writer.constant("numbers", _scalar(index), "computed")
        call.writer.node("Gather", [x, place], [call.put("last", index)], name, axis=axis)


def _scalar(value: int) -> Array:
    return np.asarray(value, np.int64)


OPERATORS: Mapping[str, Rule] = {
    "CONCATENATION": _concat,
    "SPLIT": _split,
    "SPLIT_V": _split,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "PACK": _pack,
    "UNPACK": _unpack,
}
