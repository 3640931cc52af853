"""Joining, cutting and picking out parts."""

from collections.abc import Mapping

import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.samples import Samples
from qdiag.onnx.values import Known, Value

aten = torch.ops.aten
_END = 2**31 - 1


def _concat(call: Call) -> Value:
    parts = [call.x(i) for i in range(len(call.inputs))]
    return call.scope.call(aten.cat.default, parts, call.axis(1, call.scope.rank(parts[0])))


def _split(call: Call) -> "Value | tuple[Value, ...]":
    """Equal parts, of which the last may be smaller, where the file does not say the sizes."""
    scope, x = call.scope, call.x()
    axis, count = call.axis(0, scope.rank(x)), len(call.node.outputs)
    sizes = call.ints_of("split", 1)
    if sizes is None:
        whole = int(scope.shape(x)[axis])
        each = -(-whole // count)
        sizes = [max(min(each, whole - place * each), 0) for place in range(count)]
    if len(sizes) != count:
        raise call.error(f"{len(sizes)} sizes for {count} outputs")
    parts = scope.call(aten.split_with_sizes.default, x, sizes, axis)
    return tuple(scope.pick(parts, place) for place in range(count))


def _slice(call: Call) -> Value:
    scope, x = call.scope, call.x()
    starts, ends = call.sizes_of("starts", 1), call.sizes_of("ends", 2)
    rank = scope.rank(x)
    axes = [a % rank for a in call.ints_of("axes", 3) or range(len(starts))]
    steps = call.ints(4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step > 0:
            if not (_is_start(start) and _is_end(end, scope.shape(x)[axis]) and step == 1):
                end = min(end, _END) if isinstance(end, int) else end
                x = scope.call(aten.slice.Tensor, x, axis, start, end, step)
            continue
        size = int(scope.shape(x)[axis])
        first, last = int(start), int(end)
        places = list(range(size))[slice(first, None if last < -size else last, step)]
        index = scope.constant(torch.tensor(places, dtype=torch.int64).numpy())
        x = scope.call(aten.index_select.default, x, axis, index)
    return x


def _is_start(start: object) -> bool:
    return isinstance(start, int) and start == 0


def _is_end(end: object, size: object) -> bool:
    return isinstance(end, int) and (end >= _END or (isinstance(size, int) and end >= size))


def _gather(call: Call) -> Value:
    """One element cuts its axis off; a list of them is looked up."""
    scope, x, index = call.scope, call.x(0), call.value(1)
    axis = call.axis(0, scope.rank(x))
    if isinstance(index, Known) and index.array.ndim == 0 and not index.is_symbolic:
        return scope.call(aten.select.int, x, axis, int(index.array))
    if isinstance(index, Known) and not index.is_symbolic:
        size = scope.shape(x)[axis]
        places = index.array if isinstance(size, Samples) else index.array % max(int(size), 1)
        if places.size == 1 and places.ndim == 1:
            first = int(places[0])
            return scope.call(aten.slice.Tensor, x, axis, first, first + 1 if first != -1 else _END)
        chosen = scope.constant(places.reshape(-1).astype("int64"))
    else:
        chosen = call.x(1)
        if scope.dtype(chosen) != torch.int64:
            chosen = scope.call(aten._to_copy.default, chosen, dtype=torch.int64)
        if axis == 0 and scope.rank(x) == 2 and scope.dtype(x).is_floating_point:
            return scope.call(aten.embedding.default, x, chosen)
        chosen = scope.call(aten.reshape.default, chosen, [-1])
    found = scope.call(aten.index_select.default, x, axis, chosen)
    shape, inner = scope.shape(x), scope.shape(index)
    return (
        found
        if len(inner) == 1
        else scope.call(aten.reshape.default, found, [*shape[:axis], *inner, *shape[axis + 1 :]])
    )


def _gather_elements(call: Call) -> Value:
    scope, x = call.scope, call.x(0)
    return scope.call(aten.gather.default, x, call.axis(0, scope.rank(x)), call.x(1))


def _gather_nd(call: Call) -> Value:
    if call.attribute("batch_dims", 0):
        raise call.error("axes that are gone through side by side (batch_dims) are not computed")
    scope, x, index = call.scope, call.x(0), call.x(1)
    depth = int(scope.shape(index)[-1])
    columns = [scope.call(aten.select.int, index, -1, place) for place in range(depth)]
    return scope.call(aten.index.Tensor, x, columns)


def _scatter_elements(call: Call) -> Value:
    scope, x, how = call.scope, call.x(0), str(call.attribute("reduction", "none"))
    axis = call.axis(0, scope.rank(x))
    if how == "none":
        return scope.call(aten.scatter.src, x, axis, call.x(1), call.x(2))
    names = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}
    return scope.call(aten.scatter_reduce.two, x, axis, call.x(1), call.x(2), names[how])


def _scatter_nd(call: Call) -> Value:
    if str(call.attribute("reduction", "none")) != "none":
        raise call.error("a reduction of what falls on the same place is not computed")
    scope, x, index = call.scope, call.x(0), call.x(1)
    columns = [scope.call(aten.select.int, index, -1, place) for place in range(int(scope.shape(index)[-1]))]
    return scope.call(aten.index_put.default, x, columns, call.x(2))


OPERATORS: Mapping[str, Operator] = {
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Scatter": _scatter_elements,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
}
