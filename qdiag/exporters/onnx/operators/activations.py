"""Activation functions, clamps that stand alone, and softmax."""

from collections.abc import Mapping
from typing import Any

from qdiag.capture.ops import clamp_bounds
from qdiag.exporters.onnx.call import Call
from qdiag.exporters.onnx.operators.kind import Writer
from qdiag.exporters.onnx.sites import clamped


def _plain(op: str, **names: str) -> Writer:
    """`op` on one tensor; attributes of the operator by the names of arguments."""

    def write(call: Call) -> str:
        attributes: dict[str, Any] = {name: float(call.get(key)) for name, key in names.items()}
        return call.add(op, call.tensor("self"), **attributes)

    return write


def _clamp(call: Call) -> str:
    """The clamp of a layer is written where the layer is closed; elsewhere, on constants and integers, here."""
    if call.layer is not None:
        return call.tensor("self")
    bounds = clamp_bounds(call.node)
    if bounds is None:
        raise call.error("between tensors is not written")
    return clamped(call.graph, call.tensor("self"), bounds, call.name)


def _hardsigmoid(call: Call) -> str:
    return call.add("HardSigmoid", call.tensor("self"), alpha=1.0 / 6.0, beta=0.5)


def _silu(call: Call) -> str:
    x = call.tensor("self")
    return call.add("Mul", x, call.add("Sigmoid", x, suffix="/Sigmoid"))


def _hardswish(call: Call) -> str:
    """In two nodes: onnxruntime makes the same two of a HardSwish, and these would have no names."""
    x = call.tensor("self")
    return call.add("Mul", x, call.add("HardSigmoid", x, suffix="/HardSigmoid", alpha=1.0 / 6.0, beta=0.5))


def _gelu(call: Call) -> str:
    return call.add("Gelu", call.tensor("self"), approximate=str(call.get("approximate", "none")))


def _prelu(call: Call) -> str:
    slope, rank = call.tensor("weight"), len(call.shape("self"))
    if call.shape("weight") and call.shape("weight")[0] > 1 and rank > 2:
        shape = call.graph.integers([-1, *[1] * (rank - 2)])
        slope = call.add("Reshape", slope, shape, suffix="/slope")
    return call.add("PRelu", call.tensor("self"), slope)


def _elu(call: Call) -> str:
    if float(call.get("scale", 1)) != 1.0 or float(call.get("input_scale", 1)) != 1.0:
        raise call.error("with a scale is not written")
    return call.add("Elu", call.tensor("self"), alpha=float(call.get("alpha", 1)))


def _softplus(call: Call) -> str:
    if float(call.get("beta", 1)) != 1.0:
        raise call.error("with a beta is not written")
    return call.add("Softplus", call.tensor("self"))


def _log_sigmoid(call: Call) -> str:
    return call.add("Log", call.add("Sigmoid", call.tensor("self"), suffix="/Sigmoid"))


def _glu(call: Call) -> str:
    x, axis = call.tensor("self"), call.axis("dim", len(call.shape("self")))
    halves = call.graph.add_several("Split", (x,), f"{call.name}/halves", 2, axis=axis, num_outputs=2)
    return call.add("Mul", halves[0], call.add("Sigmoid", halves[1], suffix="/gate"))


def _softmax(op: str) -> Writer:
    return lambda call: call.add(op, call.tensor("self"), axis=int(call.get("dim")))


def _where(call: Call) -> str:
    """`where(condition, a, b)` with tensors or numbers."""
    return call.add("Where", call.tensor("condition"), call.operand("self"), call.operand("other"))


OPERATORS: Mapping[str, Writer] = {
    **dict.fromkeys(("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "clip"), _clamp),
    "sigmoid": _plain("Sigmoid"),
    "tanh": _plain("Tanh"),
    "hardsigmoid": _hardsigmoid,
    "hardswish": _hardswish,
    "silu": _silu,
    "gelu": _gelu,
    "elu": _elu,
    "selu": _plain("Selu"),
    "celu": _plain("Celu", alpha="alpha"),
    "leaky_relu": _plain("LeakyRelu", alpha="negative_slope"),
    **dict.fromkeys(("prelu", "_prelu_kernel"), _prelu),
    "softplus": _softplus,
    "softsign": _plain("Softsign"),
    "mish": _plain("Mish"),
    "log_sigmoid": _log_sigmoid,
    "glu": _glu,
    **dict.fromkeys(("softmax", "_softmax"), _softmax("Softmax")),
    **dict.fromkeys(("log_softmax", "_log_softmax"), _softmax("LogSoftmax")),
    "where": _where,
}
