"""Functions of one value that networks use as activations, and the softmax."""

from collections.abc import Mapping
from typing import Any

import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.model import LAYERS
from qdiag.onnx.values import Value

aten = torch.ops.aten


def _plain(target: Any) -> Operator:
    return lambda call: call.scope.call(target, call.x())


def _clip(call: Call) -> Value:
    low = call.attribute("min") if "min" in call.node.attributes else call.number(1)
    high = call.attribute("max") if "max" in call.node.attributes else call.number(2)
    low, high = (None if b is None or abs(b) > 3e38 else float(b) for b in (low, high))
    x = call.x()
    if low is None and high is None:
        return x
    if not call.scope.dtype(x).is_floating_point:
        low, high = (None if b is None else int(b) for b in (low, high))
    if low == 0.0 and high is None:
        return call.scope.call(aten.relu.default, x)
    if low == 0.0 and high == 6.0:
        return call.scope.call(aten.hardtanh.default, x, 0.0, 6.0)
    return call.scope.call(aten.clamp.default, x, low, high)


def _leaky_relu(call: Call) -> Value:
    return call.scope.call(aten.leaky_relu.default, call.x(), float(call.attribute("alpha", 0.01)))


def _prelu(call: Call) -> Value:
    """The slope is one number for each channel, or for all; other shapes are multiplied."""
    scope, x, slope = call.scope, call.x(0), call.x(1)
    shape, channels = scope.shape(slope), scope.shape(x)[1:2]
    if all(s == 1 for s in shape) or (
        len(shape) in (scope.rank(x), scope.rank(x) - 1)
        and shape[-scope.rank(x) + 1 :][:1] == channels
        and all(s == 1 for s in shape[-scope.rank(x) + 1 :][1:])
    ):
        flat = slope if len(shape) == 1 else scope.call(aten.reshape.default, slope, [-1])
        return scope.call(aten.prelu.default, x, flat)
    positive = scope.call(aten.clamp_min.default, x, 0.0)
    negative = scope.call(aten.clamp_max.default, x, 0.0)
    return scope.call(aten.add.Tensor, positive, scope.call(aten.mul.Tensor, negative, slope))


def _channel_slopes(call: Call) -> Value:
    """A slope for each channel, or for all, in a vector."""
    return call.scope.call(aten.prelu.default, call.x(0), call.x(1))


def _elu(call: Call) -> Value:
    return call.scope.call(aten.elu.default, call.x(), float(call.attribute("alpha", 1.0)))


def _selu(call: Call) -> Value:
    alpha, gamma = float(call.attribute("alpha", 1.67326319)), float(call.attribute("gamma", 1.05070102))
    return call.scope.call(aten.elu.default, call.x(), alpha, gamma)


def _celu(call: Call) -> Value:
    return call.scope.call(aten.celu.default, call.x(), float(call.attribute("alpha", 1.0)))


def _hard_sigmoid(call: Call) -> Value:
    """`clip(alpha x + beta, 0, 1)`; torch's has 1/6 and 1/2, and Paddle's another slope, which scales x first."""
    scope, x = call.scope, call.x()
    alpha, beta = float(call.attribute("alpha", 0.2)), float(call.attribute("beta", 0.5))
    if abs(beta - 0.5) > 1e-6:
        shifted = scope.call(aten.add.Tensor, scope.call(aten.mul.Tensor, x, alpha), beta)
        return scope.call(aten.clamp.default, shifted, 0.0, 1.0)
    if abs(alpha - 1 / 6) > 1e-4:
        x = scope.call(aten.mul.Tensor, x, 6.0 * alpha)
    return scope.call(aten.hardsigmoid.default, x)


def _gelu(call: Call) -> Value:
    return call.scope.call(aten.gelu.default, call.x(), approximate=str(call.attribute("approximate", "none")))


def _shrink(call: Call) -> Value:
    """x - bias above lambd, x + bias below -lambd, 0 between."""
    scope, x = call.scope, call.x()
    bias, limit = float(call.attribute("bias", 0.0)), float(call.attribute("lambd", 0.5))
    if bias == limit:
        return scope.call(aten.softshrink.default, x, limit)
    kept = scope.call(aten.hardshrink.default, x, limit)
    shift = scope.call(aten.mul.Tensor, scope.call(aten.sign.default, kept), bias)
    return kept if bias == 0.0 else scope.call(aten.sub.Tensor, kept, shift)


def _thresholded_relu(call: Call) -> Value:
    return call.scope.call(aten.threshold.default, call.x(), float(call.attribute("alpha", 1.0)), 0.0)


def _swish(call: Call) -> Value:
    scope, x, alpha = call.scope, call.x(), float(call.attribute("alpha", 1.0))
    if alpha == 1.0:
        return scope.call(aten.silu.default, x)
    gate = scope.call(aten.sigmoid.default, scope.call(aten.mul.Tensor, x, alpha))
    return scope.call(aten.mul.Tensor, x, gate)


def _softmax(target: Any) -> Operator:
    """Before opset 13, all axes from `axis` on are one."""

    def run(call: Call) -> Value:
        scope, x = call.scope, call.x()
        rank = scope.rank(x)
        axis = call.axis(1 if call.opset < 13 else -1, rank)
        if call.opset >= 13 or axis == rank - 1 or all(size == 1 for size in scope.shape(x)[axis + 1 :]):
            return scope.call(target, x, axis)
        shape = scope.shape(x)
        flat = scope.call(aten.reshape.default, x, [*shape[:axis], -1])
        return scope.call(aten.reshape.default, scope.call(target, flat, axis), list(shape))

    return run


OPERATORS: Mapping[str, Operator] = {
    "Relu": _plain(aten.relu.default),
    "Sigmoid": _plain(aten.sigmoid.default),
    "Tanh": _plain(aten.tanh.default),
    "HardSwish": _plain(aten.hardswish.default),
    "Softplus": _plain(aten.softplus.default),
    "Mish": _plain(aten.mish.default),
    "qdiag.Silu": _plain(aten.silu.default),
    "Softsign": lambda call: call.scope.call(
        aten.div.Tensor,
        call.x(),
        call.scope.call(aten.add.Tensor, call.scope.call(aten.abs.default, call.x()), 1.0),
    ),
    "Clip": _clip,
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    f"{LAYERS}.ChannelSlopes": _channel_slopes,
    "Elu": _elu,
    "Selu": _selu,
    "Celu": _celu,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Shrink": _shrink,
    "ThresholdedRelu": _thresholded_relu,
    "Swish": _swish,
    "Softmax": _softmax(aten.softmax.int),
    "LogSoftmax": _softmax(aten.log_softmax.int),
}
