"""Pooling over windows and over whole images."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.operators.windows import Window, padded, window_of
from qdiag.onnx.steps.dilated_average import DILATED_AVERAGE
from qdiag.onnx.values import Handle, Value

aten = torch.ops.aten
_MAX = {1: aten.max_pool1d.default, 2: aten.max_pool2d.default, 3: aten.max_pool3d.default}
_AVERAGE = {1: aten.avg_pool1d.default, 2: aten.avg_pool2d.default, 3: aten.avg_pool3d.default}


def _window(call: Call) -> Window:
    kernel = [int(k) for k in call.attribute("kernel_shape", [])]
    if len(kernel) not in _MAX or call.scope.rank(call.value()) != len(kernel) + 2:
        raise call.error(f"a window over {len(kernel)} axes of an input with {call.scope.rank(call.value())}")
    return window_of(call, kernel)


def _max_pool(call: Call) -> Value:
    if len(call.node.outputs) > 1 and call.node.outputs[1]:
        raise call.error("the places of the maxima are not computed")
    window, x = _window(call), call.x()
    is_inside = all(2 * b <= k for b, k in zip(window.before, window.kernel, strict=True))
    padding = window.before
    if not window.is_symmetric or not is_inside:
        x, padding = padded(call, x, window.before, window.after, -torch.inf), [0] * len(window.kernel)
    ceil = bool(call.attribute("ceil_mode", 0))
    return call.scope.call(_MAX[len(window.kernel)], x, window.kernel, window.stride, padding, window.dilation, ceil)


def _average_pool(call: Call) -> Value:
    """Where the border counts, it is added before; where it does not and is unequal, means are corrected."""
    window, x, scope = _window(call), call.x(), call.scope
    counts = bool(call.attribute("count_include_pad", 0))
    ceil = bool(call.attribute("ceil_mode", 0))
    count = len(window.kernel)
    if any(d != 1 for d in window.dilation):
        return _dilated(call, window, ceil=ceil, counts=counts)
    is_inside = all(2 * b <= k for b, k in zip(window.before, window.kernel, strict=True))
    if window.is_symmetric and is_inside:
        return scope.call(_AVERAGE[count], x, window.kernel, window.stride, window.before, ceil, counts)
    x = padded(call, x, window.before, window.after, 0.0)
    mean = scope.call(_AVERAGE[count], x, window.kernel, window.stride, [0] * count, ceil, True)
    return mean if counts else scope.call(aten.mul.Tensor, mean, _share(call, window, ceil))


def _dilated(call: Call, window: Window, *, ceil: bool, counts: bool) -> Handle:
    if str(call.attribute("auto_pad", "NOTSET")).startswith("SAME"):
        raise call.error("a dilated window with auto_pad SAME has another size in onnxruntime than ONNX says")
    sizes = (window.kernel, window.stride, window.dilation, window.before, window.after)
    return call.scope.call(DILATED_AVERAGE, call.x(), *sizes, ceil, counts)


def _share(call: Call, window: Window, ceil: bool) -> Handle:
    """By how much a mean over a window with a border of zeros is too small."""
    count = len(window.kernel)
    ones = torch.ones(1, 1, *[int(s) for s in call.scope.shape(call.value())[2:]])
    pairs = [p for pair in zip(reversed(window.before), reversed(window.after), strict=True) for p in pair]
    full: Any = _AVERAGE[count](
        aten.constant_pad_nd.default(ones, pairs, 0.0), window.kernel, window.stride, [0] * count, ceil, True
    )
    return call.scope.constant((1.0 / full).numpy())


def _lp_pool(call: Call) -> Value:
    """The root of the sum of powers over a window; padding adds nothing."""
    window, x, scope, order = _window(call), call.x(), call.scope, int(call.attribute("p", 2))
    if any(d != 1 for d in window.dilation):
        raise call.error("dilated pooling is not computed")
    x = padded(call, x, window.before, window.after, 0.0)
    powers = _powers(call, x, order)
    count, none = len(window.kernel), [0] * len(window.kernel)
    ceil = bool(call.attribute("ceil_mode", 0))
    mean = scope.call(_AVERAGE[count], powers, window.kernel, window.stride, none, ceil, True)
    total = scope.call(aten.mul.Tensor, mean, float(math.prod(window.kernel)))
    return _root(call, total, order)


def _global_lp_pool(call: Call) -> Value:
    scope, x, order = call.scope, call.x(), int(call.attribute("p", 2))
    axes = list(range(2, scope.rank(x)))
    return _root(call, scope.call(aten.sum.dim_IntList, _powers(call, x, order), axes, True), order)


def _powers(call: Call, x: Handle, order: int) -> Handle:
    """|x| to this power."""
    if order == 2:
        return call.scope.call(aten.square.default, x)
    absolute = call.scope.call(aten.abs.default, x)
    return absolute if order == 1 else call.scope.call(aten.pow.Tensor_Scalar, absolute, order)


def _root(call: Call, total: Handle, order: int) -> Handle:
    if order == 1:
        return total
    if order == 2:
        return call.scope.call(aten.sqrt.default, total)
    return call.scope.call(aten.pow.Tensor_Scalar, total, 1.0 / order)


def _global(target: Any) -> Operator:
    def run(call: Call) -> Value:
        axes = list(range(2, call.scope.rank(call.value())))
        return call.scope.call(target, call.x(), axes, True)

    return run


OPERATORS: Mapping[str, Operator] = {
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global(aten.mean.dim),
    "GlobalMaxPool": _global(aten.amax.default),
    "LpPool": _lp_pool,
    "GlobalLpPool": _global_lp_pool,
}
