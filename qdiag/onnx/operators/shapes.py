"""What reads and changes shapes: reshaping, transposing, repeating, padding, and shapes themselves."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.samples import Samples
from qdiag.onnx.values import Handle, Known, Size, Value, sizes_known

aten = torch.ops.aten


def _shape(call: Call) -> Value:
    shape = call.scope.shape(call.value())
    return sizes_known(shape[call.attribute("start", 0) : call.attribute("end")])


def _size(call: Call) -> Value:
    total: Size = math.prod(call.scope.shape(call.value()))
    found = sizes_known([total])
    return Known(found.array.reshape(()))


def _reshape(call: Call) -> Value:
    """0 keeps the size of the input, -1 is what is left over."""
    scope, x = call.scope, call.x()
    wanted = call.ints_of("shape", 1) if "shape" in call.node.attributes else call.sizes(1)
    if wanted is None:
        raise call.error("it has no shape")
    shape = scope.shape(x)
    if not call.attribute("allowzero", 0):
        if any(_is(size, 0) and place >= len(shape) for place, size in enumerate(wanted)):
            raise call.error(f"the shape {wanted} keeps more axes than the {len(shape)} that there are")
        wanted = [shape[place] if _is(size, 0) else size for place, size in enumerate(wanted)]
    return scope.call(aten.reshape.default, x, _one_open(wanted, shape))


def _is(size: Size, number: int) -> bool:
    return isinstance(size, int) and size == number


def _one_open(wanted: list[Any], shape: tuple[Size, ...]) -> list[Any]:
    """-1 in place of the one size that depends on the number of samples: nothing has to compute it then."""
    symbolic = [place for place, size in enumerate(wanted) if isinstance(size, Samples)]
    if len(symbolic) == 1 and not any(_is(size, -1) for size in wanted):
        wanted[symbolic[0]] = -1
    elif len(symbolic) == 1:
        total, known = math.prod(shape), math.prod(size for size in wanted if not _is(size, -1))
        left = total // known if not _is(known, 0) else 0
        if isinstance(left, int):
            wanted = [left if _is(size, -1) else size for size in wanted]
            wanted[symbolic[0]] = -1
    return wanted


def _flatten(call: Call) -> Value:
    scope, x = call.scope, call.x()
    shape = scope.shape(x)
    axis = int(call.attribute("axis", 1))
    axis = axis % len(shape) if axis < 0 else axis
    if axis == 1:
        return (
            scope.call(aten.flatten.using_ints, x, 1, -1)
            if len(shape) > 1
            else scope.call(aten.reshape.default, x, [shape[0], 1])
        )
    if axis == 0:
        return scope.call(aten.reshape.default, x, [1, -1])
    return scope.call(aten.reshape.default, x, [-1, math.prod(shape[axis:])])


def _squeeze(call: Call) -> Value:
    scope, x = call.scope, call.x()
    axes = call.ints_of("axes", 1)
    shape = scope.shape(x)
    if axes is None:
        axes = [place for place, size in enumerate(shape) if _is(size, 1)]
    axes = [axis % len(shape) for axis in axes]
    if not all(_is(shape[axis], 1) for axis in axes):
        raise call.error(f"an axis of {axes} has more than one element")
    return scope.call(aten.squeeze.dims, x, axes) if axes else x


def _unsqueeze(call: Call) -> Value:
    scope, x = call.scope, call.x()
    axes = call.ints_of("axes", 1) or []
    rank = scope.rank(x) + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = scope.call(aten.unsqueeze.default, x, axis)
    return x


def _transpose(call: Call) -> Value:
    scope, x = call.scope, call.x()
    order = [int(p) for p in call.attribute("perm", reversed(range(scope.rank(x))))]
    return scope.call(aten.permute.default, x, order) if order != list(range(len(order))) else x


def _expand(call: Call) -> Value:
    """Sizes of 1 on either side give way to the other side's."""
    scope, x = call.scope, call.x()
    wanted, shape = call.sizes(1) or [], scope.shape(x)
    rank = max(len(wanted), len(shape))
    ones: list[Size] = [1] * rank
    wanted, own = [*ones[len(wanted) :], *wanted], [*ones[len(shape) :], *shape]
    sizes = [o if _is(w, 1) else w for w, o in zip(wanted, own, strict=True)]
    is_same = rank == len(shape) and all(_is(w, 1) or w is o for w, o in zip(wanted, own, strict=True))
    return x if is_same else scope.call(aten.expand.default, x, sizes)


def _tile(call: Call) -> Value:
    return call.scope.call(aten.repeat.default, call.x(), call.sizes(1) or [])


def _pad(call: Call) -> Value:
    scope, x = call.scope, call.x()
    rank, mode = scope.rank(x), str(call.attribute("mode", "constant"))
    pads = call.ints_of("pads", 1) or []
    axes = [axis % rank for axis in call.ints(3) or range(rank)]
    if len(pads) != 2 * len(axes):
        raise call.error(f"{len(pads)} paddings for {len(axes)} axes")
    before, after = [0] * rank, [0] * rank
    for axis, b, a in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        before[axis], after[axis] = b, a
    if mode == "wrap":
        return _wrapped(call, x, before, after)
    last = next((place for place in range(rank) if before[place] or after[place]), rank)
    if last == rank:
        return x
    if mode != "constant" and rank > 2:
        last = min(last, 2)  # torch takes what is reflected or repeated for all axes behind the channels
    pairs = [p for place in reversed(range(last, rank)) for p in (before[place], after[place])]
    if mode == "constant":
        value = call.attribute("value") if "value" in call.node.attributes else call.number(2)
        return scope.call(aten.constant_pad_nd.default, x, pairs, 0.0 if value is None else value)
    return scope.call(aten.pad.default, x, pairs, "reflect" if mode == "reflect" else "replicate")


def _wrapped(call: Call, x: Handle, before: list[int], after: list[int]) -> Handle:
    """Each axis goes on with its elements from the other end, however often; negative numbers cut."""
    scope = call.scope
    for axis, (b, a) in enumerate(zip(before, after, strict=True)):
        if not b and not a:
            continue
        size = scope.shape(x)[axis]
        if not isinstance(size, int):
            raise call.error("padding that wraps around along an axis of any size is not computed")
        kept = np.arange(max(-b, 0), size - max(-a, 0))
        if not kept.size and (b > 0 or a > 0):
            raise call.error("padding that wraps around nothing is not computed")
        places = np.take(kept, np.arange(-max(b, 0), kept.size + max(a, 0)), mode="wrap") if kept.size else kept
        x = scope.call(aten.index_select.default, x, axis, scope.constant(places))
    return x


def _filled(call: Call) -> Value:
    value = call.attribute("value")
    value = np.zeros(1, np.float32) if value is None else value
    item, kind = value.reshape(-1)[0].item(), torch.from_numpy(value.copy()).dtype
    return call.scope.call(aten.full.default, call.sizes(0) or [], item, dtype=kind)


def _range(call: Call) -> Value:
    numbers = [(call.sizes(i) or [0])[0] if _is_integer(call, i) else call.number(i) for i in range(3)]
    kind = call.scope.dtype(call.value(0))
    return call.scope.call(aten.arange.start_step, *numbers, dtype=kind)


def _is_integer(call: Call, index: int) -> bool:
    return not call.scope.dtype(call.value(index)).is_floating_point


def _depth_to_space(call: Call) -> Value:
    """DCR takes the block from the outer part of the channels, CRD from the inner one."""
    scope, x, block = call.scope, call.x(), int(call.attribute("blocksize"))
    if str(call.attribute("mode", "DCR")) == "CRD":
        return scope.call(aten.pixel_shuffle.default, x, block)
    n, c, h, w = scope.shape(x)
    channels = int(c) // (block * block)
    parts = scope.call(aten.reshape.default, x, [-1, block, block, channels, h, w])
    moved = scope.call(aten.permute.default, parts, [0, 3, 4, 1, 5, 2])
    del n
    return scope.call(aten.reshape.default, moved, [-1, channels, int(h) * block, int(w) * block])


def _space_to_depth(call: Call) -> Value:
    scope, x, block = call.scope, call.x(), int(call.attribute("blocksize"))
    _, c, h, w = scope.shape(x)
    parts = scope.call(aten.reshape.default, x, [-1, c, int(h) // block, block, int(w) // block, block])
    moved = scope.call(aten.permute.default, parts, [0, 3, 5, 1, 2, 4])
    return scope.call(aten.reshape.default, moved, [-1, int(c) * block * block, int(h) // block, int(w) // block])


OPERATORS: Mapping[str, Operator] = {
    "Shape": _shape,
    "Size": _size,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Expand": _expand,
    "Tile": _tile,
    "Pad": _pad,
    "ConstantOfShape": _filled,
    "Range": _range,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}
