"""Comparisons, logic, and the choice between two values."""

from collections.abc import Mapping
from typing import Any

import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.values import Value

aten = torch.ops.aten


def _two(target: Any) -> Operator:
    return lambda call: call.scope.call(target, call.x(0), call.x(1))


def _where(call: Call) -> Value:
    return call.scope.call(aten.where.self, call.x(0), call.x(1), call.x(2))


def _is_infinite(call: Call) -> Value:
    scope, x = call.scope, call.x()
    found = scope.call(aten.isinf.default, x)
    if not call.attribute("detect_negative", 1):
        return scope.call(aten.logical_and.default, found, scope.call(aten.gt.Scalar, x, 0))
    if not call.attribute("detect_positive", 1):
        return scope.call(aten.logical_and.default, found, scope.call(aten.lt.Scalar, x, 0))
    return found


OPERATORS: Mapping[str, Operator] = {
    "Equal": _two(aten.eq.Tensor),
    "Greater": _two(aten.gt.Tensor),
    "GreaterOrEqual": _two(aten.ge.Tensor),
    "Less": _two(aten.lt.Tensor),
    "LessOrEqual": _two(aten.le.Tensor),
    "And": _two(aten.logical_and.default),
    "Or": _two(aten.logical_or.default),
    "Xor": _two(aten.logical_xor.default),
    "Not": lambda call: call.scope.call(aten.logical_not.default, call.x()),
    "IsNaN": lambda call: call.scope.call(aten.isnan.default, call.x()),
    "IsInf": _is_infinite,
    "Where": _where,
}
