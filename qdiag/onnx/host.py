"""Arithmetic on what is known beforehand: exporters spell out shapes as chains of small operations on integers.

Sizes may depend on the number of samples (`Samples`). The arrays are of type object then, and everything here goes
element by element or moves elements.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add, eq, ge, gt, le, lt, mul, sub
from typing import Any

import numpy as np

from qdiag.onnx.call import Call
from qdiag.onnx.model import Array
from qdiag.onnx.samples import Samples
from qdiag.onnx.values import Known, Value, simplified

ELEMENTS_MAX = 1 << 20
"""Above it, a constant is made by an operation of the network."""


def on_host(call: Call) -> tuple[Value, ...] | None:
    """The outputs of a node all of whose inputs are known; None where this file does not know the operator."""
    operator = HOST_OPERATORS.get(call.node.op) if not call.node.domain else None
    arrays = [i.array if isinstance(i, Known) else None for i in call.inputs]
    if operator is None or any(a is not None and a.size > ELEMENTS_MAX for a in arrays):
        return None
    result = operator(call, arrays)
    if result is None:
        return None
    return tuple(simplified(part) for part in result) if isinstance(result, list) else (simplified(result),)


_Host = Callable[[Call, list[Any]], "Array | list[Array] | None"]


def _elementwise(function: Callable[[Any, Any], Any]) -> _Host:
    def run(call: Call, arrays: list[Any]) -> Array | None:
        del call
        a, b = arrays[0], arrays[1]
        if not (_is_integer(a) and _is_integer(b)):
            return None
        kinds = (a.dtype, b.dtype)
        if object not in kinds:
            with np.errstate(all="ignore"):
                return np.asarray(np.frompyfunc(function, 2, 1)(a, b)).astype(_result_type(function, a))
        return np.asarray(np.frompyfunc(function, 2, 1)(a, b), dtype=object)

    return run


def _result_type(function: Callable[[Any, Any], Any], a: Array) -> Any:
    return np.bool_ if function in (eq, gt, lt, ge, le) else a.dtype


def _is_integer(a: Array) -> bool:
    return a.dtype == object or np.issubdtype(a.dtype, np.integer)


def _divided(a: Any, b: Any) -> Any:
    """Integer division towards zero; numbers of samples are never negative."""
    if isinstance(a, Samples) or isinstance(b, Samples):
        return a // b
    return int(a / b) if b and abs(a) < 2**52 else (a // b if b else 0)


def _shape(call: Call, arrays: list[Any]) -> Array:
    shape = list(arrays[0].shape)
    start, end = call.attribute("start", 0), call.attribute("end")
    return np.asarray(shape[start:end], dtype=np.int64)


def _gather(call: Call, arrays: list[Any]) -> Array | None:
    data, index = arrays
    axis = int(call.attribute("axis", 0))
    return np.asarray(np.take(data, index.astype(np.int64), axis=axis))


def _concat(call: Call, arrays: list[Any]) -> Array:
    return np.concatenate(arrays, axis=int(call.attribute("axis", 1)))


def _cast(call: Call, arrays: list[Any]) -> Array | None:
    (array,) = arrays
    kind = call.attribute("to")
    if array.dtype == object:
        return array if np.issubdtype(kind, np.integer) or array.size == 1 else None
    if np.issubdtype(kind, np.floating):
        return np.asarray(array.astype(np.float32))
    with np.errstate(all="ignore"):
        return np.asarray(array.astype(kind))


def _unsqueeze(call: Call, arrays: list[Any]) -> Array:
    axes = call.ints_of("axes", 1) or []
    rank = arrays[0].ndim + len(axes)
    return np.asarray(np.expand_dims(arrays[0], tuple(axis % rank for axis in axes)))


def _squeeze(call: Call, arrays: list[Any]) -> Array:
    axes = call.ints_of("axes", 1)
    return np.asarray(np.squeeze(arrays[0], None if axes is None else tuple(axes)))


def _slice(call: Call, arrays: list[Any]) -> Array | None:
    starts, ends = call.ints_of("starts", 1), call.ints_of("ends", 2)
    if starts is None or ends is None:
        return None
    axes = call.ints_of("axes", 3) or list(range(len(starts)))
    steps = call.ints(4) or [1] * len(starts)
    index = [slice(None)] * arrays[0].ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        stop = None if step < 0 and end < -arrays[0].shape[axis] else end
        index[axis] = slice(start, stop, step)
    return np.asarray(arrays[0][tuple(index)])


def _reshape(call: Call, arrays: list[Any]) -> Array | None:
    del call
    return np.asarray(arrays[0].reshape([int(i) for i in arrays[1]]))


def _filled(call: Call, arrays: list[Any]) -> Array | None:
    if arrays[0].dtype == object or math.prod(int(i) for i in arrays[0]) > ELEMENTS_MAX:
        return None
    value = call.attribute("value")
    value = np.zeros(1, np.float32) if value is None else value
    return np.asarray(np.full([int(i) for i in arrays[0]], value.reshape(-1)[0], dtype=value.dtype))


def _where(call: Call, arrays: list[Any]) -> Array | None:
    del call
    condition, a, b = arrays
    if condition.dtype == object or not (_is_integer(a) and _is_integer(b)):
        return None
    return np.asarray(np.where(condition.astype(np.bool_), a, b))


def _product(call: Call, arrays: list[Any]) -> Array | None:
    array = arrays[0]
    axes = call.ints_of("axes", 1)
    if not _is_integer(array) or array.ndim != 1 or axes not in (None, [0], [-1]):
        return None
    made = np.empty(1 if call.attribute("keepdims", 1) else (), dtype=object)
    made[...] = reduce(mul, array.tolist(), 1)
    return made


def _same(call: Call, arrays: list[Any]) -> Array:
    del call
    return np.asarray(arrays[0])


def _split(call: Call, arrays: list[Any]) -> list[Array] | None:
    axis, count = int(call.attribute("axis", 0)), len(call.node.outputs)
    sizes = call.ints_of("split", 1)
    if sizes is None:
        return None if arrays[0].shape[axis] % count else np.split(arrays[0], count, axis)
    return np.split(arrays[0], np.cumsum(sizes)[:-1], axis)


def _expand(call: Call, arrays: list[Any]) -> Array | None:
    del call
    shape = [int(i) for i in arrays[1]] if arrays[1].dtype != object else None
    if shape is None or math.prod(shape) * arrays[0].size > ELEMENTS_MAX:
        return None
    return np.broadcast_to(arrays[0], np.broadcast_shapes(arrays[0].shape, tuple(shape))).copy()


def _range(call: Call, arrays: list[Any]) -> Array | None:
    del call
    if any(a.dtype == object or not _is_integer(a) for a in arrays):
        return None
    start, stop, step = (int(a.reshape(-1)[0]) for a in arrays)
    if not step or abs((stop - start) / step) > ELEMENTS_MAX:
        return None
    return np.arange(start, stop, step, dtype=arrays[0].dtype)


def _smallest(values: Sequence[Any]) -> Any:
    return reduce(lambda a, b: a if a < b else b, values)


HOST_OPERATORS: dict[str, _Host] = {
    "Add": _elementwise(add),
    "Sub": _elementwise(sub),
    "Mul": _elementwise(mul),
    "Div": _elementwise(_divided),
    "Min": _elementwise(lambda a, b: _smallest([a, b])),
    "Equal": _elementwise(eq),
    "Greater": _elementwise(gt),
    "Less": _elementwise(lt),
    "GreaterOrEqual": _elementwise(ge),
    "LessOrEqual": _elementwise(le),
    "Shape": _shape,
    "Gather": _gather,
    "Concat": _concat,
    "Cast": _cast,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Slice": _slice,
    "Reshape": _reshape,
    "ConstantOfShape": _filled,
    "Where": _where,
    "ReduceProd": _product,
    "Identity": _same,
    "Split": _split,
    "Expand": _expand,
    "Range": _range,
}
