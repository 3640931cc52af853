"""Functions of one value that networks use as activations, and the softmax."""

from collections.abc import Mapping

import numpy as np

from qdiag.litert.call import Call, Rule
from qdiag.litert.model import Array
from qdiag.litert.operators.arithmetic import unary
from qdiag.litert.writer import TO_FIRST


def _clamp(kind: str) -> Rule:
    def run(call: Call) -> None:
        form = call.form
        call.activation(call.read(0, form), form, kind)

    return run


def _leaky_relu(call: Call) -> None:
    form = call.form
    call.node("LeakyRelu", [call.read(0, form)], call.put(form), alpha=float(call.option("alpha", 0.0)))


def _prelu(call: Call) -> None:
    """The slopes have the axes of the value behind that of the samples."""
    form, slopes = call.form, call.known(1)
    rank = len(call.tensor(0).shape)
    if slopes.ndim == rank and slopes.shape[0] != 1:
        call.needs_fixed_batch()
    if slopes.shape[-1:] in ((slopes.size,), ()) and (rank == 2 or (rank == 4 and form == "first")):
        each = call.writer.stored(call.tensor(1), lambda values: values.reshape(-1))
        call.node("ChannelSlopes", [call.read(0, form), each], call.put(form))
        return

    def moved(values: Array) -> Array:
        values = values.reshape((1,) * (rank - values.ndim) + values.shape)
        values = values.transpose(TO_FIRST) if form == "first" else values
        return values[0] if values.shape[0] == 1 and rank > 1 else values

    call.node("PRelu", [call.read(0, form), call.writer.stored(call.tensor(1), moved)], call.put(form))


def _elu(call: Call) -> None:
    form = call.form
    call.node("Elu", [call.read(0, form)], call.put(form), alpha=1.0)


def _gelu(call: Call) -> None:
    form, how = call.form, "tanh" if call.option("approximate") else "none"
    call.node("Gelu", [call.read(0, form)], call.put(form), approximate=how)


def _softmax(op: str) -> Rule:
    """Over the last axis of the file."""

    def run(call: Call) -> None:
        form, rank = call.form, len(call.tensor(0).shape)
        x, beta = call.read(0, form), float(np.float32(call.option("beta", 1.0)))
        if op == "Softmax" and beta != 1.0:
            x = call.step("Mul", [x, call.writer.number(beta)], "scaled")
        if rank == 1:
            call.needs_fixed_batch()
        axis = 1 if form == "first" and rank == 4 else rank - 1
        call.node(op, [x], call.put(form), axis=axis)

    return run


OPERATORS: Mapping[str, Rule] = {
    "RELU": _clamp("RELU"),
    "RELU6": _clamp("RELU6"),
    "RELU_N1_TO_1": _clamp("RELU_N1_TO_1"),
    "RELU_0_TO_1": _clamp("RELU_0_TO_1"),
    "TANH": unary("Tanh"),
    "LOGISTIC": unary("Sigmoid"),
    "HARD_SWISH": unary("HardSwish"),
    "LEAKY_RELU": _leaky_relu,
    "PRELU": _prelu,
    "ELU": _elu,
    "GELU": _gelu,
    "SOFTMAX": _softmax("Softmax"),
    "LOG_SOFTMAX": _softmax("LogSoftmax"),
}
