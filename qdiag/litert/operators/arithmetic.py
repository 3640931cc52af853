"""Arithmetic of two values, and functions of one."""

from collections.abc import Mapping
from functools import partial

import numpy as np

from qdiag.litert.call import Call, Rule
from qdiag.litert.model import Array
from qdiag.litert.writer import TO_FIRST, Form


def operands(call: Call) -> tuple[list[str], Form]:
    """Both values in one form; constants of fewer axes are put where they belong."""
    rank = len(call.output().shape)
    ranks = [len(call.tensor(index).shape) for index in range(len(call.operator.inputs))]
    computed = [index for index in range(len(ranks)) if call.tensor(index).data is None]
    form: Form = call.form if rank == 4 and all(ranks[index] in (0, 4) for index in computed) else "last"
    names = []
    for index, own in enumerate(ranks):
        tensor = call.tensor(index)
        if tensor.data is not None and own == rank and rank and tensor.shape[0] != 1:
            call.needs_fixed_batch()
        if tensor.data is not None and tensor.quantization is not None and tensor.data.size == 1 and rank:
            names.append(
                call.writer.stored(tensor, partial(_spread, call.output().shape[-1], form), "for each channel")
            )
        elif form == "first" and 0 < own < 4:
            names.append(call.writer.stored(tensor, _as_image, "channels first"))
        else:
            names.append(call.read(index, form))
    if any(0 < ranks[index] < rank for index in computed):
        call.needs_fixed_batch()
    return names, form


def _spread(channels: int, form: Form, values: Array) -> Array:
    """One number of integers for each channel: it stays a tensor, with the scale that the file has for it."""
    return np.tile(values.reshape(-1), channels).reshape((1, channels, 1, 1) if form == "first" else (channels,))


def _as_image(values: Array) -> Array:
    return values.reshape((1,) * (4 - values.ndim) + values.shape).transpose(TO_FIRST)


def _two(op: str) -> Rule:
    def run(call: Call) -> None:
        names, form = operands(call)
        call.finished(op, names, form)

    return run


def _squared_difference(call: Call) -> None:
    names, form = operands(call)
    call.node("SquaredDifference", names, call.put(form))


def unary(op: str) -> Rule:
    """A function of each element."""

    def run(call: Call) -> None:
        form = call.form
        call.node(op, [call.read(0, form)], call.put(form))

    return run


def _square(call: Call) -> None:
    form = call.form
    x = call.read(0, form)
    call.node("Mul", [x, x], call.put(form))


OPERATORS: Mapping[str, Rule] = {
    "ADD": _two("Add"),
    "SUB": _two("Sub"),
    "MUL": _two("Mul"),
    "DIV": _two("Div"),
    "POW": _two("Pow"),
    "MAXIMUM": _two("Max"),
    "MINIMUM": _two("Min"),
    "ADD_N": _two("Sum"),
    "SQUARED_DIFFERENCE": _squared_difference,
    "SQUARE": _square,
    "RSQRT": unary("Rsqrt"),
    "ABS": unary("Abs"),
    "CEIL": unary("Ceil"),
    "COS": unary("Cos"),
    "EXP": unary("Exp"),
    "FLOOR": unary("Floor"),
    "LOG": unary("Log"),
    "NEG": unary("Neg"),
    "ROUND": unary("Round"),
    "SIGN": unary("Sign"),
    "SIN": unary("Sin"),
    "SQRT": unary("Sqrt"),
}
