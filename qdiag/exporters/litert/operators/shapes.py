"""Other shapes of the same elements, and borders."""

from collections.abc import Mapping

import numpy as np

from qdiag.exporters.litert.build import Held
from qdiag.exporters.litert.call import Call, Write
from qdiag.exporters.litert.operators.convolutions import padded


def source(call: Call, *, signals: bool = False) -> Held:
    """What is moved.

    Args:
        signals: those that are stored as images stay so.
    """
    at = "self" if call.get("self") is not None else "input"
    value = call.stored(at) if signals else call.get(at)
    if not isinstance(value, Held):
        raise call.error("takes something else than a tensor")
    return value


def _same(call: Call) -> Held:
    return source(call, signals=True)


def _reshape(call: Call) -> Held:
    """In the order of the captured graph; an image of one pixel is the same in both orders."""
    x, shape = source(call, signals=True), call.shape()
    if x.order == "plain" or call.build.shape(x)[1:3] != (1, 1):
        x = call.build.in_order(x, "plain")
    sizes = [-1, *shape[1:]] if shape else []
    return call.moved("RESHAPE", x, [call.build.sizes(sizes)], shape, "plain", newShape=sizes)


def _permute(call: Call) -> Held:
    x = call.build.in_order(source(call), "plain")
    rank = len(call.build.shape(x))
    if rank < 2:
        return x
    if call.get("dims") is not None:
        order = [int(axis) % rank for axis in call.get("dims")]
    else:
        order = list(range(rank))
        first, second = (int(call.get(f"dim{n}", call.get(f"axis{n}", n))) % rank for n in range(2))
        order[first], order[second] = second, first
    return call.moved("TRANSPOSE", x, [call.build.sizes(order)], call.shape(), "plain")


def _pad(call: Call) -> Held:
    if call.get("mode") == "reflect":
        return _mirrored(call)
    if call.get("value", 0) not in (0, 0.0, None) or str(call.get("mode", "constant")) != "constant":
        raise call.error("with something else than zeros is not written")
    x, pairs = _bordered(call)
    return padded(call.build, x, pairs, call.name)


def _mirrored(call: Call) -> Held:
    """The values next to the edge once more, in reverse order."""
    x, pairs = _bordered(call)
    shape = [size + sum(both) for size, both in zip(call.build.shape(x), pairs, strict=True)]
    sizes = call.build.constant("sizes", np.asarray(pairs, np.int32))
    return call.moved("MIRROR_PAD", x, [sizes], shape, x.order, mode=0)


def _bordered(call: Call) -> tuple[Held, list[list[int]]]:
    """What gets a border, and how much before and behind each axis of the file."""
    x = source(call, signals=True)
    given = [int(p) for p in (call.get("pad") or call.get("padding"))]
    if min(given) < 0:
        raise call.error("that cuts something off is not written")
    pairs = [[0, 0] for _ in call.build.shape(x)]
    for place in range(len(given) // 2):
        pairs[call.axis(len(call.shape()) - 1 - place, x)] = given[2 * place : 2 * place + 2]
    return x, pairs


OPERATORS: Mapping[str, Write] = {
    **dict.fromkeys(("clone", "contiguous", "alias", "detach", "dropout", "to", "_to_copy"), _same),
    **dict.fromkeys(("reshape", "view", "flatten", "unsqueeze", "squeeze", "unflatten"), _reshape),
    **dict.fromkeys(("reshape_as", "view_as"), _reshape),
    **dict.fromkeys(("permute", "transpose", "swapaxes", "t"), _permute),
    **dict.fromkeys(("constant_pad_nd", "pad"), _pad),
    **dict.fromkeys(("reflection_pad1d", "reflection_pad2d"), _mirrored),
}
