"""Parts of a value along an axis."""

from collections.abc import Mapping

import numpy as np

from qdiag.exporters.litert.build import Held
from qdiag.exporters.litert.call import Call, Write
from qdiag.exporters.litert.operators.shapes import source


def _slice(call: Call) -> Held:
    x = source(call, signals=True)
    axis = call.axis(int(call.get("dim", 0)), x)
    size, start, end, step = call.build.shape(x)[axis], call.get("start", 0), call.get("end"), int(call.get("step", 1))
    start = min(max(int(start) + (size if start < 0 else 0), 0), size)
    end = size if end is None else min(max(int(end) + (size if end < 0 else 0), 0), size)
    return x if (start, end, step) == (0, size, 1) else _cut(call, x, axis, (start, end, step))


def _narrow(call: Call) -> Held:
    x = source(call, signals=True)
    axis = call.axis(int(call.get("dim")), x)
    size, start, length = call.build.shape(x)[axis], int(call.get("start")), int(call.get("length"))
    start += size if start < 0 else 0
    return x if length == size else _cut(call, x, axis, (start, start + length, 1))


def _cut(call: Call, x: Held, axis: int, wanted: tuple[int, int, int]) -> Held:
    """From a start to an end by steps, along an axis of the file."""
    start, end, step = wanted
    stored = list(call.build.shape(x))
    places = _bounds(call, stored, axis, wanted)
    whole = _others(len(stored), axis)
    stored[axis] = -(-(end - start) // step)
    return call.moved("STRIDED_SLICE", x, places, stored, x.order, beginMask=whole, endMask=whole)


def _bounds(call: Call, shape: list[int], axis: int, wanted: tuple[int, int, int]) -> list[int]:
    bounds = [[0] * len(shape), list(shape), [1] * len(shape)]
    for numbers, number in zip(bounds, wanted, strict=True):
        numbers[axis] = number
    return [call.build.sizes(numbers) for numbers in bounds]


def _others(rank: int, axis: int) -> int:
    """Bits of the axes that are whole."""
    return sum(1 << place for place in range(rank) if place != axis)


def _select(call: Call) -> Held:
    """One place of an axis, without that axis."""
    x = source(call)
    rank = len(call.build.shape(x))
    if int(call.get("dim")) % rank != 1:  # without its channels, an image has its axes in their order
        x = call.build.in_order(x, "plain")
    axis, stored = call.axis(int(call.get("dim")), x), list(call.build.shape(x))
    place = int(call.get("index")) % stored[axis]
    places, whole = _bounds(call, stored, axis, (place, place + 1, 1)), _others(rank, axis)
    options = {"beginMask": whole, "endMask": whole, "shrinkAxisMask": 1 << axis}
    return call.moved("STRIDED_SLICE", x, places, call.shape(), "plain", **options)


def _picked(call: Call) -> Held:
    """Places of an axis that are known."""
    return _gathered(call, int(call.get("dim")), call.get("index"))


def _indexed(call: Call) -> Held:
    """The same, where only one axis has places."""
    given = [(axis, index) for axis, index in enumerate(call.get("indices")) if index is not None]
    if len(given) != 1:
        raise call.error("with places for several axes is not written")
    return _gathered(call, *given[0])


def _gathered(call: Call, dim: int, index: object) -> Held:
    x = source(call, signals=True)
    values = call.build.tensors[index.place].data if isinstance(index, Held) else None
    if values is None or values.ndim != 1:
        raise call.error("with places that the network computes, or several axes of them, is not written")
    axis, stored = call.axis(dim, x), list(call.build.shape(x))
    places = np.where(values < 0, values + stored[axis], values).astype(np.int32)
    stored[axis] = places.size
    return call.moved("GATHER", x, [call.build.constant("places", places)], stored, x.order, axis=axis)


def _split(call: Call) -> list[Held]:
    x, parts = source(call, signals=True), call.example
    axis = int(call.get("dim", 0)) % parts[0].ndim
    sizes = [int(part.shape[axis]) for part in parts]
    found = [
        call.build.value(f"{call.name}/{number}", call.in_file(part.shape, x.order), x.order, x.quantizer)
        for number, part in enumerate(parts)
    ]
    where = call.build.constant("axis", np.asarray(call.axis(axis, x), np.int32))
    inputs = [x.place, call.build.sizes(sizes), where]
    call.build.operator("SPLIT_V", inputs, [one.place for one in found], numSplits=len(found))
    return found


def _unbound(call: Call) -> list[Held]:
    """Every place of an axis, without that axis."""
    x = call.build.in_order(source(call), "plain")
    axis = int(call.get("dim", 0)) % len(call.build.shape(x))
    found = [
        call.build.value(f"{call.name}/{number}", part.shape, "plain", x.quantizer)
        for number, part in enumerate(call.example)
    ]
    call.build.operator("UNPACK", [x.place], [one.place for one in found], num=len(found), axis=axis)
    return found


def _getitem(call: Call) -> Held:
    """One of several values; an operation of which one is written gives its first."""
    found, place = call.stored("0"), call.get("1")
    if isinstance(found, Held):
        found = [found]
    if not isinstance(found, list) or not isinstance(place, int) or place >= len(found):
        raise call.error("of what is not written")
    chosen = found[place]
    assert isinstance(chosen, Held)
    return chosen


OPERATORS: Mapping[str, Write] = {
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), _split),
    "unbind": _unbound,
    "slice": _slice,
    "narrow": _narrow,
    "select": _select,
    "index_select": _picked,
    "index": _indexed,
    "getitem": _getitem,
}
