"""Other shapes of the same elements, parts of them, and borders."""

from collections.abc import Mapping

import numpy as np

from qdiag.exporters.litert.build import TO_LAST, Held
from qdiag.exporters.litert.call import Call, Write
from qdiag.exporters.litert.operators.convolutions import padded


def _source(call: Call) -> Held:
    value = call.get("self", call.get("input"))
    if not isinstance(value, Held):
        raise call.error("takes something else than a tensor")
    return value


def _same(call: Call) -> Held:
    return _source(call)


def _reshape(call: Call) -> Held:
    """In the order of the captured graph; an image of one pixel is the same in both orders."""
    x, shape = _source(call), call.shape()
    stored = call.build.shape(x)
    if not (x.order == "last" and stored[1:3] == (1, 1)):
        x = call.build.in_order(x, "plain")
    sizes = [-1, *shape[1:]] if shape else []
    return call.moved("RESHAPE", x, [call.build.sizes(sizes)], shape, "plain", newShape=sizes)


def _permute(call: Call) -> Held:
    x = call.build.in_order(_source(call), "plain")
    rank = len(call.build.shape(x))
    if call.get("dims") is not None:
        order = [int(axis) % rank for axis in call.get("dims")]
    else:
        order = list(range(rank))
        first, second = (int(call.get(key, default)) % rank for key, default in (("dim0", 0), ("dim1", 1)))
        order[first], order[second] = second, first
    return call.moved("TRANSPOSE", x, [call.build.sizes(order)], call.shape(), "plain")


def _slice(call: Call) -> Held:
    x = _source(call)
    stored = list(call.build.shape(x))
    axis = int(call.get("dim", 0)) % len(stored)
    axis = TO_LAST.index(axis) if x.order == "last" and len(stored) == 4 else axis
    size, start, end, step = stored[axis], call.get("start", 0), call.get("end"), int(call.get("step", 1))
    start = min(max(int(start) + (size if start < 0 else 0), 0), size)
    end = size if end is None else min(max(int(end) + (size if end < 0 else 0), 0), size)
    if (start, end, step) == (0, size, 1):
        return x
    bounds = [[0] * len(stored), list(stored), [1] * len(stored)]
    bounds[0][axis], bounds[1][axis], bounds[2][axis] = start, end, step
    whole = sum(1 << place for place in range(len(stored)) if place != axis)
    stored[axis] = -(-(end - start) // step)
    places = [call.build.sizes(numbers) for numbers in bounds]
    return call.moved("STRIDED_SLICE", x, places, stored, x.order, beginMask=whole, endMask=whole)


def _pad(call: Call) -> Held:
    x = _source(call)
    if call.get("value", 0) not in (0, 0.0, None) or str(call.get("mode", "constant")) != "constant":
        raise call.error("with something else than zeros is not written")
    rank, given = len(call.build.shape(x)), [int(p) for p in call.get("pad")]
    pairs = [[0, 0] for _ in range(rank)]
    for place in range(len(given) // 2):
        pairs[rank - 1 - place] = given[2 * place : 2 * place + 2]
    if min(given) < 0:
        raise call.error("that cuts something off is not written")
    if x.order == "last" and rank == 4:
        pairs = [pairs[axis] for axis in TO_LAST]
    return padded(call.build, x, pairs, call.name)


def _getitem(call: Call) -> Held:
    """One of several values; an operation of which one is written gives its first."""
    found, place = call.get("0"), call.get("1")
    if isinstance(found, Held):
        found = [found]
    if not isinstance(found, list) or not isinstance(place, int) or place >= len(found):
        raise call.error("of what is not written")
    chosen = found[place]
    assert isinstance(chosen, Held)
    return chosen


def _split(call: Call) -> list[Held]:
    x, parts = _source(call), call.example
    rank = len(call.build.shape(x))
    axis = int(call.get("dim", 0)) % rank
    is_image = x.order == "last" and rank == 4
    place = TO_LAST.index(axis) if is_image else axis
    found = []
    for number, part in enumerate(parts):
        shape = tuple(int(size) for size in part.shape)
        shape = call.image(shape) if is_image else shape
        found.append(call.build.value(f"{call.name}/{number}", shape, x.order, x.quantizer))
    sizes = call.build.sizes([int(part.shape[axis]) for part in parts])
    where = call.build.constant("axis", np.asarray(place, np.int32))
    outputs = [one.place for one in found]
    call.build.operator("SPLIT_V", [x.place, sizes, where], outputs, numSplits=len(found))
    return found


OPERATORS: Mapping[str, Write] = {
    **dict.fromkeys(("clone", "contiguous", "alias", "detach", "dropout", "to", "_to_copy"), _same),
    **dict.fromkeys(("reshape", "view", "flatten", "unsqueeze", "squeeze", "unflatten"), _reshape),
    **dict.fromkeys(("permute", "transpose"), _permute),
    **dict.fromkeys(("constant_pad_nd", "pad"), _pad),
    **dict.fromkeys(("split", "split_with_sizes", "chunk"), _split),
    "slice": _slice,
    "getitem": _getitem,
}
