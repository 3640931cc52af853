"""Rotary position embeddings: pairs of values of each head turned by an angle that grows with the position.

Source: the operators RotaryEmbedding of ONNX (opset 23) and of onnxruntime (com.microsoft); arXiv 2104.09864.
"""

from collections.abc import Mapping

import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.values import Handle, Size, Value

aten = torch.ops.aten


def _of_onnx(call: Call) -> Value:
    """(x, cosines, sines, positions)."""
    return _turned(call, call.x(1), call.x(2), 3 if call.has(3) else None)


def _of_onnxruntime(call: Call) -> Value:
    """(x, positions, cosines, sines); one number of `positions` is that of the first place."""
    if float(call.attribute("scale", 1.0)) != 1.0 or call.attribute("is_packed_batching", 0):
        raise call.error("a scale and packed batches are not computed")
    if call.scope.rank(call.value(1)) == 2:
        return _turned(call, call.x(2), call.x(3), 1)
    first = (call.ints(1) or [0])[0]
    length = int(call.scope.shape(call.value(0))[-2])
    tables = [
        call.scope.call(
            aten.unsqueeze.default, call.scope.call(aten.slice.Tensor, call.x(n), 0, first, first + length), 0
        )
        for n in (2, 3)
    ]
    return _turned(call, tables[0], tables[1], None)


def _turned(call: Call, cosines: Handle, sines: Handle, positions: int | None) -> Value:
    """Values of (samples, heads, places, size), or of (samples, places, heads x size).

    Args:
        cosines, sines: by sample and place, or by position. positions: the input that holds those, by sample and place.
    """
    scope, x = call.scope, call.x()
    shape = scope.shape(x)
    is_flat = len(shape) == 3
    size = _head_size(call, cosines) if is_flat else int(shape[-1])
    if is_flat:
        x = scope.call(aten.reshape.default, x, [-1, shape[1], int(shape[2]) // size, size])
    turned = int(call.attribute("rotary_embedding_dim", 0)) or size
    angles = []
    for table in (cosines, sines):
        if positions is not None:
            table = scope.call(aten.index.Tensor, table, [call.x(positions)])
        angles.append(scope.call(aten.unsqueeze.default, table, 2 if is_flat else 1))
    parts = [_rotated(call, x, turned, angles[0], angles[1])]
    if turned < size:
        parts.append(scope.call(aten.slice.Tensor, x, -1, turned, size))
    joined = scope.call(aten.cat.default, parts, -1) if len(parts) > 1 else parts[0]
    back: list[Size] = [-1, *shape[1:]]
    return scope.call(aten.reshape.default, joined, back) if is_flat else joined


def _head_size(call: Call, cosines: Handle) -> int:
    """Of inputs that have all heads on one axis."""
    heads, width = int(call.attribute("num_heads", 0)), int(call.scope.shape(call.value(0))[-1])
    return width // heads if heads else 2 * int(call.scope.shape(cosines)[-1])


def _rotated(call: Call, x: Handle, turned: int, cosines: Handle, sines: Handle) -> Handle:
    """The first `turned` values of each head: pairs are neighbours, or a value and that half of them behind it."""
    scope, is_interleaved = call.scope, bool(call.attribute("interleaved", 0))
    ends = ((0, turned, 2), (1, turned, 2)) if is_interleaved else ((0, turned // 2, 1), (turned // 2, turned, 1))
    one, other = (scope.call(aten.slice.Tensor, x, -1, *end) for end in ends)
    first = scope.call(aten.sub.Tensor, _product(call, one, cosines), _product(call, other, sines))
    second = scope.call(aten.add.Tensor, _product(call, one, sines), _product(call, other, cosines))
    if not is_interleaved:
        return scope.call(aten.cat.default, [first, second], -1)
    pairs = scope.call(aten.stack.default, [first, second], -1)
    return scope.call(aten.flatten.using_ints, pairs, -2, -1)


def _product(call: Call, x: Handle, angle: Handle) -> Handle:
    return call.scope.call(aten.mul.Tensor, x, angle)


OPERATORS: Mapping[str, Operator] = {
    "RotaryEmbedding": _of_onnx,
    "com.microsoft.RotaryEmbedding": _of_onnxruntime,
}
