"""Sums, means and extremes over axes."""

from collections.abc import Mapping
from typing import Any

import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.values import Handle, Value

aten = torch.ops.aten
_ONE_AXIS_OPSET = 13


def _axes(call: Call) -> list[int] | None:
    """Axes to reduce; None where nothing is reduced."""
    axes = call.ints_of("axes", 1)
    rank = call.scope.rank(call.value())
    if axes is None or (not axes and not call.attribute("noop_with_empty_axes", 0)):
        return None if call.attribute("noop_with_empty_axes", 0) else list(range(rank))
    return [axis % rank for axis in axes]


def _reduced(target: Any) -> Operator:
    def run(call: Call) -> Value:
        axes = _axes(call)
        return call.x() if axes is None else _over(call, target, call.x(), axes)

    return run


def _over(call: Call, target: Any, x: Handle, axes: list[int]) -> Handle:
    return call.scope.call(target, x, axes, bool(call.attribute("keepdims", 1)))


def _l1(call: Call) -> Value:
    return _over(call, aten.sum.dim_IntList, call.scope.call(aten.abs.default, call.x()), _axes(call) or [])


def _sum_of_squares(call: Call) -> Handle:
    return _over(call, aten.sum.dim_IntList, call.scope.call(aten.square.default, call.x()), _axes(call) or [])


def _log_sum_exp(call: Call) -> Value:
    return _over(call, aten.logsumexp.default, call.x(), _axes(call) or [])


def _product(call: Call) -> Value:
    x, keep = call.x(), bool(call.attribute("keepdims", 1))
    for axis in sorted(_axes(call) or [], reverse=True):
        x = call.scope.call(aten.prod.dim_int, x, axis, keep)
    return x


def _place(target: Any) -> Operator:
    """The place of the largest or smallest; the first of several."""

    def run(call: Call) -> Value:
        if call.attribute("select_last_index", 0):
            raise call.error("the last one of several places is not looked for")
        x = call.x()
        axis = call.axis(0, call.scope.rank(x))
        return call.scope.call(target, x, axis, bool(call.attribute("keepdims", 1)))

    return run


def _hardmax(call: Call) -> Value:
    """1 at the first largest value of an axis, 0 elsewhere."""
    if call.opset < _ONE_AXIS_OPSET:
        raise call.error("before opset 13 it goes over all axes behind one, which is not computed")
    scope, x = call.scope, call.x()
    axis = call.axis(-1, scope.rank(x))
    place = scope.call(aten.argmax.default, x, axis, True)
    return scope.call(aten.scatter.value, scope.call(aten.zeros_like.default, x), axis, place, 1.0)


OPERATORS: Mapping[str, Operator] = {
    "Hardmax": _hardmax,
    "ReduceMean": _reduced(aten.mean.dim),
    "ReduceSum": _reduced(aten.sum.dim_IntList),
    "ReduceMax": _reduced(aten.amax.default),
    "ReduceMin": _reduced(aten.amin.default),
    "ReduceProd": _product,
    "ReduceL1": _l1,
    "ReduceL2": lambda call: call.scope.call(aten.sqrt.default, _sum_of_squares(call)),
    "ReduceSumSquare": _sum_of_squares,
    "ReduceLogSum": lambda call: call.scope.call(
        aten.log.default, _over(call, aten.sum.dim_IntList, call.x(), _axes(call) or [])
    ),
    "ReduceLogSumExp": _log_sum_exp,
    "ArgMax": _place(aten.argmax.default),
    "ArgMin": _place(aten.argmin.default),
}
