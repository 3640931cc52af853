"""Arithmetic of two or more values."""

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.model import LAYERS
from qdiag.onnx.samples import Samples
from qdiag.onnx.values import Handle, Known, Value

aten = torch.ops.aten
_NO_REDUCTION = 0


def operand(call: Call, index: int) -> Any:
    """A plain number where the value is one and its shape decides nothing, else a tensor."""
    value = call.value(index)
    if isinstance(value, Known) and value.array.size == 1:
        others = [call.scope.rank(i) for n, i in enumerate(call.inputs) if n != index and i is not None]
        if value.array.ndim <= max(others, default=0):
            item = value.array.reshape(-1)[0]
            return item if isinstance(item, Samples) else item.item() if isinstance(item, np.generic) else item
    return call.x(index)


def _both(call: Call, tensor: Any, reverse: Any = None) -> Handle:
    """The operation on a tensor and a tensor or number; `reverse` is the one whose operands are the other way round."""
    a, b = operand(call, 0), operand(call, 1)
    if _is_number(a) and _is_number(b):
        a = call.x(0)
    if not _is_number(a):
        return call.scope.call(tensor, a, b)
    if reverse is None:
        return call.scope.call(tensor, call.x(0), b)
    return call.scope.call(reverse, b, a)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Samples)


def _add(call: Call) -> Value:
    return _both(call, aten.add.Tensor, aten.add.Tensor)


def _sub(call: Call) -> Value:
    return _both(call, aten.sub.Tensor, aten.rsub.Scalar)


def _mul(call: Call) -> Value:
    return _both(call, aten.mul.Tensor, aten.mul.Tensor)


def _div(call: Call) -> Value:
    """Towards zero for integers."""
    scope = call.scope
    if not scope.dtype(call.value(0)).is_floating_point:
        return scope.call(aten.div.Tensor_mode, call.x(0), call.x(1), rounding_mode="trunc")
    a, b = operand(call, 0), operand(call, 1)
    if not _is_number(a):
        return scope.call(aten.div.Tensor, a, b)
    inverse = scope.call(aten.reciprocal.default, call.x(1))
    return inverse if a == 1 else scope.call(aten.mul.Tensor, inverse, a)


def _pow(call: Call) -> Value:
    a, b = operand(call, 0), operand(call, 1)
    if _is_number(b) and not _is_number(a):
        return call.scope.call(aten.pow.Tensor_Scalar, a, b)
    return call.scope.call(aten.pow.Tensor_Tensor, call.x(0), call.x(1))


def _mod(call: Call) -> Value:
    target = aten.fmod.Tensor if call.attribute("fmod", 0) else aten.remainder.Tensor
    return call.scope.call(target, call.x(0), call.x(1))


def _all(target: Any) -> Operator:
    def run(call: Call) -> Value:
        return reduce(lambda a, b: call.scope.call(target, a, b), (call.x(i) for i in range(len(call.inputs))))

    return run


def _mean(call: Call) -> Value:
    total = reduce(lambda a, b: call.scope.call(aten.add.Tensor, a, b), (call.x(i) for i in range(len(call.inputs))))
    return total if len(call.inputs) == 1 else call.scope.call(aten.div.Tensor, total, float(len(call.inputs)))


def _squared_difference(call: Call) -> Value:
    """Of each pair of elements."""
    return call.scope.call(aten.mse_loss.default, call.x(0), call.x(1), _NO_REDUCTION)


OPERATORS: Mapping[str, Operator] = {
    "Add": _add,
    "Sub": _sub,
    "Mul": _mul,
    "Div": _div,
    "Pow": _pow,
    "Mod": _mod,
    "Min": _all(aten.minimum.default),
    "Max": _all(aten.maximum.default),
    "Sum": _all(aten.add.Tensor),
    "Mean": _mean,
    f"{LAYERS}.SquaredDifference": _squared_difference,
}
