"""Arithmetic of two values, and joining of several."""

from collections.abc import Mapping

import numpy as np

from qdiag.exporters.litert.build import TO_LAST, Held, Order
from qdiag.exporters.litert.call import Call, Write, number_quantizer


def _operand(call: Call, key: str, order: Order, *, is_float: bool) -> Held:
    """In this order; a number is a constant, exact in integers too."""
    value = call.get(key)
    if isinstance(value, Held):
        value = call.build.in_float(value) if is_float else value
        return call.build.in_order(value, order)
    number = float(value)
    quantizer = None if is_float else number_quantizer(number)
    return call.build.operand(f"{call.name}/{number:g}", np.asarray(number, np.float32), order, quantizer)


def _two(kind: str, *, swapped: bool = False) -> Write:
    def write(call: Call) -> Held:
        if call.get("alpha", 1) != 1:
            raise call.error("with a factor is not written")
        held = [value for value in (call.get("self"), call.get("other")) if isinstance(value, Held)]
        rank = len(call.shape())
        images = [one for one in held if len(call.build.shape(one)) == 4]
        order: Order = "last" if rank == 4 and any(one.order == "last" for one in images) else "plain"
        if len(images) < len(held) and order == "last":
            raise call.error("of values with different numbers of axes is not written")
        first, second = (_operand(call, key, order, is_float=call.is_float) for key in ("self", "other"))
        places = [second.place, first.place] if swapped else [first.place, second.place]
        return call.finished(kind, places, order)

    return write


def _in_float(kind: str) -> Write:
    """Integer kernels do not know the operation."""
    write_two = _two(kind)

    def write(call: Call) -> Held | list[Held]:
        if not call.is_float:
            raise call.error("has no integer kernel; leave it in float")
        return write_two(call)

    return write


def _concat(call: Call) -> Held:
    """Integers of one quantizer; parts of others are quantized again before."""
    parts = call.get("tensors")
    rank = len(call.shape())
    order: Order = "last" if rank == 4 and any(part.order == "last" for part in parts) else "plain"
    axis = int(call.get("dim", 0)) % rank
    places = []
    for number, part in enumerate(parts):
        value = call.build.in_order(call.build.in_float(part) if call.is_float else part, order)
        if not call.is_float and call.ending.quantizer is not None:
            value = call.build.requantized(value, call.ending.quantizer, f"{call.name}/part {number + 1}")
        places.append(value.place)
    axis = TO_LAST.index(axis) if order == "last" else axis
    return call.finished("CONCATENATION", places, order, axis=axis)


OPERATORS: Mapping[str, Write] = {
    "add": _two("ADD"),
    "sub": _two("SUB"),
    "rsub": _two("SUB", swapped=True),
    "mul": _two("MUL"),
    "div": _in_float("DIV"),
    "cat": _concat,
}
