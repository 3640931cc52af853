"""The largest ones, running sums, triangles and one-hot vectors."""

from collections.abc import Mapping

import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.steps.running_sum import RUNNING_SUM
from qdiag.onnx.values import Value

aten = torch.ops.aten


def _top_k(call: Call) -> "tuple[Value, ...]":
    scope, x = call.scope, call.x()
    count = call.ints_of("k", 1)
    axis = call.axis(-1, scope.rank(x))
    largest, is_sorted = bool(call.attribute("largest", 1)), bool(call.attribute("sorted", 1))
    found = scope.call(aten.topk.default, x, (count or [1])[0], axis, largest, is_sorted)
    return scope.pick(found, 0), scope.pick(found, 1)


def _running_sum(call: Call) -> Value:
    axis = (call.ints(1) or [0])[0]
    exclusive, reverse = (bool(call.attribute(name, 0)) for name in ("exclusive", "reverse"))
    return call.scope.call(RUNNING_SUM, call.x(), axis, exclusive, reverse)


def _triangle(call: Call) -> Value:
    diagonal = (call.ints(1) or [0])[0] if call.has(1) else 0
    target = aten.triu.default if call.attribute("upper", 1) else aten.tril.default
    return call.scope.call(target, call.x(), diagonal)


def _one_hot(call: Call) -> Value:
    scope, index = call.scope, call.x(0)
    depth, values = (call.ints(1) or [0])[0], call.known(2)
    if values is None:
        raise call.error("it has no values")
    axis = call.axis(-1, scope.rank(index) + 1)
    places = scope.constant(torch.arange(depth).reshape([-1] + [1] * (scope.rank(index) - axis)).numpy())
    index = scope.call(aten.remainder.Scalar, scope.call(aten._to_copy.default, index, dtype=torch.int64), depth)
    hit = scope.call(aten.eq.Tensor, scope.call(aten.unsqueeze.default, index, axis), places)
    off, on = (scope.constant(v.reshape(())) for v in values)
    return scope.call(aten.where.self, hit, on, off)


OPERATORS: Mapping[str, Operator] = {
    "TopK": _top_k,
    "CumSum": _running_sum,
    "Trilu": _triangle,
    "OneHot": _one_hot,
}
