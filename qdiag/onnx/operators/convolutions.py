"""Convolutions and transposed convolutions."""

from collections.abc import Mapping

import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.operators.windows import padded, window_of
from qdiag.onnx.values import Value

aten = torch.ops.aten
_CONV = {1: aten.conv1d.default, 2: aten.conv2d.default, 3: aten.conv3d.default}
_TRANSPOSED = {
    1: aten.conv_transpose1d.default,
    2: aten.conv_transpose2d.input,
    3: aten.conv_transpose3d.input,
}


def _conv(call: Call) -> Value:
    """Unequal paddings are an operation of their own before it."""
    scope, x, weight = call.scope, call.x(0), call.x(1)
    kernel = [int(k) for k in scope.shape(weight)[2:]]
    if len(kernel) not in _CONV or scope.rank(x) != len(kernel) + 2:
        raise call.error(f"a convolution over {len(kernel)} axes of an input with {scope.rank(x)}")
    window = window_of(call, kernel)
    padding = window.before
    if not window.is_symmetric:
        x, padding = padded(call, x, window.before, window.after, 0.0), [0] * len(kernel)
    bias, groups = call.optional(2), int(call.attribute("group", 1))
    return scope.call(_CONV[len(kernel)], x, weight, bias, window.stride, padding, window.dilation, groups)


def _conv_transpose(call: Call) -> Value:
    """Unequal paddings are cut off after it, which is what they mean here."""
    scope, x, weight = call.scope, call.x(0), call.x(1)
    kernel = [int(k) for k in scope.shape(weight)[2:]]
    count = len(kernel)
    if count not in _TRANSPOSED or scope.rank(x) != count + 2:
        raise call.error(f"a transposed convolution over {count} axes of an input with {scope.rank(x)}")
    stride = [int(s) for s in call.attribute("strides", [1] * count)]
    dilation = [int(d) for d in call.attribute("dilations", [1] * count)]
    extra = [int(e) for e in call.attribute("output_padding", [0] * count)]
    sizes = [int(s) for s in scope.shape(x)[2:]]
    full = [
        (n - 1) * s + d * (k - 1) + 1 + e for n, s, d, k, e in zip(sizes, stride, dilation, kernel, extra, strict=True)
    ]
    before, after = _cut(call, full, sizes, stride)
    bias, groups = call.optional(2), int(call.attribute("group", 1))
    target = _TRANSPOSED[count]
    fits = all(e < max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True))
    if before == after and min(before) >= 0 and fits:
        return scope.call(target, x, weight, bias, stride, before, extra, groups, dilation)
    if not fits:
        raise call.error(f"an output padding of {extra} with strides {stride}")
    whole = scope.call(target, x, weight, bias, stride, [0] * count, extra, groups, dilation)
    return padded(call, whole, [-b for b in before], [-a for a in after], 0.0)


def _cut(call: Call, full: list[int], sizes: list[int], stride: list[int]) -> tuple[list[int], list[int]]:
    """What is cut off each side of the whole result."""
    count, how = len(full), str(call.attribute("auto_pad", "NOTSET"))
    wanted = call.attribute("output_shape")
    if wanted is None and how == "NOTSET":
        pads = [int(p) for p in call.attribute("pads", [0] * 2 * count)]
        return pads[:count], pads[count:]
    if wanted is None and how == "VALID":
        return [0] * count, [0] * count
    shape = [n * s for n, s in zip(sizes, stride, strict=True)] if wanted is None else [int(w) for w in wanted][-count:]
    total = [f - w for f, w in zip(full, shape, strict=True)]
    less, more = [t // 2 for t in total], [t - t // 2 for t in total]
    return (less, more) if how == "SAME_UPPER" else (more, less)


OPERATORS: Mapping[str, Operator] = {"Conv": _conv, "ConvTranspose": _conv_transpose}
