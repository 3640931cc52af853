"""Arithmetic of two values, and joining of several."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qdiag.exporters.litert.build import Held, Order
from qdiag.exporters.litert.call import Call, Write, number_quantizer
from qdiag.exporters.litert.number_types import is_wide


def _operand(call: Call, key: str, order: Order, *, is_float: bool) -> Held:
    """In this order, with as many axes as the result where that is no plain one; a number is a constant, exact in
    integers too.
    """
    value = call.stored(key)
    if isinstance(value, Held):
        value = call.build.in_float(value) if is_float else value
        value = value if order == "plain" else call.build.with_axes(value, len(call.shape()))
        return call.build.in_order(value, order)
    number = float(value)
    quantizer = None if is_float else number_quantizer(number)
    return call.build.operand(f"{call.name}/{number:g}", np.asarray(number, np.float32), order, quantizer)


def _order(call: Call, values: Sequence[Any]) -> Order:
    """Of what is computed of these: that of images or signals where one of them is such a value, and the result too."""
    orders: Mapping[int, Order] = {4: "last", 3: "signal"}
    order = orders.get(len(call.shape()), "plain")
    return order if any(isinstance(one, Held) and one.order == order for one in values) else "plain"


def _two(kind: str, *, swapped: bool = False) -> Write:
    def write(call: Call) -> Held:
        if call.get("alpha", 1) != 1:
            raise call.error("with a factor is not written")
        order = _order(call, [call.stored("self"), call.stored("other")])
        first, second = (_operand(call, key, order, is_float=call.is_float) for key in ("self", "other"))
        places = [second.place, first.place] if swapped else [first.place, second.place]
        return call.finished(kind, places, order)

    return write


def _quotient(call: Call) -> Held:
    """By a number: times its reciprocal, which has an integer kernel; else in float, if no file has it in integers."""
    other = call.get("other")
    if call.get("rounding_mode") is not None:
        raise call.error("that rounds is not written")
    if not isinstance(other, Held) and not call.is_float:
        x = call.held("self")
        number = 1.0 / float(other)
        factor = call.build.operand(
            f"{call.name}/{number:g}", np.asarray(number, np.float32), x.order, number_quantizer(number)
        )
        return call.finished("MUL", [x.place, factor.place], x.order)
    if call.keeps_integers:
        return _two("DIV")(call)  # type: ignore[return-value]
    order = _order(call, [call.stored("self"), call.stored("other")])
    first, second = (_operand(call, key, order, is_float=True) for key in ("self", "other"))
    made = call.build.value(f"{call.name}/float", call.in_file(call.shape(), order), order, None)
    call.build.operator("DIV", [first.place, second.place], [made.place], fusedActivationFunction=0)
    return made if call.ending.clamp is None else call.clamped(made)


def _one_in_float(kind: str) -> Write:
    """A function of each element that is computed in float, but for what a file had in integers."""

    def write(call: Call) -> Held:
        if call.keeps_integers:
            x = call.held("self")
            return call.closed(kind, [x.place], x.order)
        x = call.build.in_float(call.held("self"))
        made = call.build.value(f"{call.name}/float", call.build.shape(x), x.order, None)
        call.build.operator(kind, [x.place], [made.place])
        return made if call.ending.clamp is None else call.clamped(made)

    return write


def _power(call: Call) -> Held | list[Held]:
    """Of a number, in float; there is no kernel of integers."""
    exponent = call.get("exponent")
    if isinstance(exponent, Held) or isinstance(call.get("self"), int | float):
        raise call.error("with an exponent that the network computes is not written")
    if float(exponent) == 2.0:
        return _one_in_float("SQUARE")(call)
    return _in_float_with("POW", float(exponent))(call)


def _in_float_with(kind: str, number: float, *, is_first: bool = False) -> Write:
    """A value and a number, in float."""

    def write(call: Call) -> Held:
        x = call.build.in_float(call.held("self"))
        factor = call.build.operand(f"{call.name}/{number:g}", np.asarray(number, np.float32), x.order, None)
        made = call.build.value(f"{call.name}/float", call.build.shape(x), x.order, None)
        places = [factor.place, x.place] if is_first else [x.place, factor.place]
        call.build.operator(kind, places, [made.place], **({"fusedActivationFunction": 0} if kind == "DIV" else {}))
        return made if call.ending.clamp is None else call.clamped(made)

    return write


def _squared_difference(call: Call) -> Held:
    """In float, but for what a file had in integers."""
    if call.get("reduction", 1) != 0:
        raise call.error("that is added up is not written")
    order = _order(call, [call.stored("self"), call.stored("target")])
    is_float = not call.keeps_integers
    first, second = (_operand(call, key, order, is_float=is_float) for key in ("self", "target"))
    if not is_float:
        return call.closed("SQUARED_DIFFERENCE", [first.place, second.place], order)
    made = call.build.value(f"{call.name}/float", call.in_file(call.shape(), order), order, None)
    call.build.operator("SQUARED_DIFFERENCE", [first.place, second.place], [made.place])
    return made if call.ending.clamp is None else call.clamped(made)


def _exp(call: Call) -> Held | list[Held]:
    """In integers of int8 alone."""
    x = call.held("self")
    is_byte = x.quantizer is not None and not is_wide(x.quantizer) and not is_wide(call.ending.quantizer)
    if call.is_float or call.build.kind != "int8" or not is_byte:
        return _one_in_float("EXP")(call)
    return call.closed("EXP", [x.place], x.order)


def _compared(kind: str) -> Write:
    """The larger or smaller of two values, at one scale, as kernels ask."""

    def write(call: Call) -> Held:
        order = _order(call, [call.stored("self"), call.stored("other")])
        places = []
        for number, key in enumerate(("self", "other")):
            value = _operand(call, key, order, is_float=call.is_float)
            if not call.is_float and call.ending.quantizer is not None:
                value = call.build.requantized(value, call.ending.quantizer, f"{call.name}/part {number + 1}")
            places.append(value.place)
        return call.closed(kind, places, order)

    return write


def _concat(call: Call) -> Held:
    """Integers of one quantizer; parts of others are quantized again before."""
    parts = call.stored("tensors")
    order = _order(call, parts)
    return _joined(call, [call.build.in_order(part, order) for part in parts], int(call.get("dim", 0)), order)


def _stack(call: Call) -> Held:
    """The same, of parts with one axis more."""
    shape, parts = list(call.shape()), call.get("tensors")
    axis = int(call.get("dim", 0)) % len(shape)
    shape[axis] = 1
    plain = (call.build.in_order(part, "plain") for part in parts)
    wider = [
        call.build.reshaped(one, shape, f"{call.name}/part {number + 1} as wide") for number, one in enumerate(plain)
    ]
    return _joined(call, wider, axis, "plain")


def _joined(call: Call, parts: Sequence[Held], axis: int, order: Order) -> Held:
    places = []
    for number, part in enumerate(parts):
        value = call.build.in_float(part) if call.is_float else part
        if not call.is_float and call.ending.quantizer is not None:
            value = call.build.requantized(value, call.ending.quantizer, f"{call.name}/part {number + 1}")
        places.append(value.place)
    return call.finished("CONCATENATION", places, order, axis=call.axis(axis, parts[0]))


OPERATORS: Mapping[str, Write] = {
    "add": _two("ADD"),
    "sub": _two("SUB"),
    "rsub": _two("SUB", swapped=True),
    "mul": _two("MUL"),
    "div": _quotient,
    "maximum": _compared("MAXIMUM"),
    "minimum": _compared("MINIMUM"),
    "exp": _exp,
    "log": _one_in_float("LOG"),
    "sqrt": _one_in_float("SQRT"),
    "rsqrt": _one_in_float("RSQRT"),
    "abs": _one_in_float("ABS"),
    "neg": _one_in_float("NEG"),
    "sin": _one_in_float("SIN"),
    "cos": _one_in_float("COS"),
    "square": _one_in_float("SQUARE"),
    "pow": _power,
    "reciprocal": _in_float_with("DIV", 1.0, is_first=True),
    "mse_loss": _squared_difference,
    **dict.fromkeys(("cat", "concat"), _concat),
    "stack": _stack,
}
