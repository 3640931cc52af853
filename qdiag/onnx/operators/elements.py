"""Functions of one value: roots, logarithms, angles, rounding, types."""

from collections.abc import Mapping
from typing import Any

import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.model import LAYERS
from qdiag.onnx.values import DTYPES, Value

aten = torch.ops.aten

_PLAIN: Mapping[str, Any] = {
    "Abs": aten.abs.default,
    "Acos": aten.acos.default,
    "Acosh": aten.acosh.default,
    "Asin": aten.asin.default,
    "Asinh": aten.asinh.default,
    "Atan": aten.atan.default,
    "Atanh": aten.atanh.default,
    "Ceil": aten.ceil.default,
    "Cos": aten.cos.default,
    "Cosh": aten.cosh.default,
    "Erf": aten.erf.default,
    "Exp": aten.exp.default,
    "Floor": aten.floor.default,
    "Log": aten.log.default,
    "Neg": aten.neg.default,
    "Reciprocal": aten.reciprocal.default,
    "Round": aten.round.default,
    "Sign": aten.sign.default,
    "Sin": aten.sin.default,
    "Sinh": aten.sinh.default,
    "Sqrt": aten.sqrt.default,
    f"{LAYERS}.Rsqrt": aten.rsqrt.default,
    "Tan": aten.tan.default,
}


def _plain(target: Any) -> Operator:
    return lambda call: call.scope.call(target, call.x())


def _cast(call: Call) -> Value:
    wanted = DTYPES.get(call.attribute("to"))
    if wanted is None:
        raise call.error(f"the type {call.attribute('to')} is not computed with")
    x = call.x()
    if call.scope.dtype(x) == wanted:
        return x
    return call.scope.call(aten._to_copy.default, x, dtype=wanted)


def _cast_like(call: Call) -> Value:
    x, wanted = call.x(), call.scope.dtype(call.value(1))
    return x if call.scope.dtype(x) == wanted else call.scope.call(aten._to_copy.default, x, dtype=wanted)


def _same(call: Call) -> Value:
    return call.value()


def _dropout(call: Call) -> "Value | tuple[Value, ...]":
    """What it is at inference; its mask is full of ones."""
    if call.has(2) and bool(call.number(2)):
        raise call.error("it is in training mode, and random")
    if len(call.node.outputs) < 2 or not call.node.outputs[1]:
        return call.value()
    return call.value(), call.scope.call(aten.full_like.default, call.x(), True, dtype=torch.bool)


OPERATORS: Mapping[str, Operator] = {
    **{name: _plain(target) for name, target in _PLAIN.items()},
    "Cast": _cast,
    "CastLike": _cast_like,
    "Identity": _same,
    "Dropout": _dropout,
}
