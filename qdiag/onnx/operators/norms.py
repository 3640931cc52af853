"""Normalization."""

from collections.abc import Mapping

import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.values import Value

aten = torch.ops.aten


def _batch_norm(call: Call) -> Value:
    if call.attribute("training_mode", 0) or any(call.node.outputs[1:]):
        raise call.error("it is in training mode: its statistics change with every batch")
    if not call.attribute("spatial", 1):
        raise call.error("statistics for each place (spatial=0) are not computed")
    scale, shift, mean, variance = (call.x(i) for i in range(1, 5))
    eps = float(call.attribute("epsilon", 1e-5))
    return call.scope.call(aten.batch_norm.default, call.x(), scale, shift, mean, variance, False, 0.1, eps, False)


def _instance_norm(call: Call) -> Value:
    eps = float(call.attribute("epsilon", 1e-5))
    return call.scope.call(
        aten.instance_norm.default, call.x(0), call.x(1), call.x(2), None, None, True, 0.0, eps, False
    )


def _layer_norm(call: Call) -> Value:
    if any(call.node.outputs[1:]):
        raise call.error("its mean and deviation are not given out")
    scope, x = call.scope, call.x()
    shape = list(scope.shape(x)[call.axis(-1, scope.rank(x)) :])
    weight, bias = call.optional(1), call.optional(2)
    return scope.call(aten.layer_norm.default, x, shape, weight, bias, float(call.attribute("epsilon", 1e-5)), False)


def _rms_norm(call: Call) -> Value:
    scope, x = call.scope, call.x()
    shape = list(scope.shape(x)[call.axis(-1, scope.rank(x)) :])
    return scope.call(aten.rms_norm.default, x, shape, call.optional(1), float(call.attribute("epsilon", 1e-5)))


def _recognized_group_norm(call: Call) -> Value:
    """With a scale and a shift of each channel that were written for an image: (C, 1, 1)."""
    scope, groups = call.scope, int(call.attribute("num_groups", 1))
    weight, bias = (scope.call(aten.reshape.default, call.x(place), [-1]) for place in (1, 2))
    return scope.call(aten.group_norm.default, call.x(), groups, weight, bias, float(call.attribute("epsilon")), False)


def _group_norm(call: Call) -> Value:
    """From opset 21 on a scale for each channel; before, one for each group."""
    scope, x, groups = call.scope, call.x(), int(call.attribute("num_groups", 1))
    eps, weight, bias = float(call.attribute("epsilon", 1e-5)), call.x(1), call.x(2)
    if scope.shape(weight)[0] == scope.shape(x)[1]:
        return scope.call(aten.group_norm.default, x, groups, weight, bias, eps, False)
    each = int(scope.shape(x)[1]) // groups
    weight, bias = (scope.call(aten.repeat_interleave.self_int, p, each) for p in (weight, bias))
    return scope.call(aten.group_norm.default, x, groups, weight, bias, eps, False)


def _lrn(call: Call) -> Value:
    """x / (bias + alpha / size * sum of squares over channels around)^beta."""
    scope, x, size = call.scope, call.x(), int(call.attribute("size"))
    shape = list(scope.shape(x))
    square = scope.call(aten.reshape.default, scope.call(aten.square.default, x), [shape[0], 1, shape[1], -1])
    border = [0, 0, (size - 1) // 2, size // 2]
    padded = scope.call(aten.constant_pad_nd.default, square, border, 0.0)
    mean = scope.call(aten.avg_pool2d.default, padded, [size, 1], [1, 1])
    alpha, beta, bias = (float(call.attribute(n, d)) for n, d in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    scaled = scope.call(aten.add.Tensor, scope.call(aten.mul.Tensor, mean, alpha), bias)
    power = scope.call(aten.pow.Tensor_Scalar, scaled, beta)
    return scope.call(aten.div.Tensor, x, scope.call(aten.reshape.default, power, shape))


def _lp_normalization(call: Call) -> Value:
    scope, x, order = call.scope, call.x(), int(call.attribute("p", 2))
    axis = call.axis(-1, scope.rank(x))
    size = scope.call(aten.norm.ScalarOpt_dim, x, order, [axis], True)
    return scope.call(aten.div.Tensor, x, size)


def _mean_variance(call: Call) -> Value:
    scope, x = call.scope, call.x()
    axes = [int(a) for a in call.attribute("axes", [0, 2, 3])]
    centred = scope.call(aten.sub.Tensor, x, scope.call(aten.mean.dim, x, axes, True))
    variance = scope.call(aten.mean.dim, scope.call(aten.square.default, centred), axes, True)
    deviation = scope.call(aten.add.Tensor, scope.call(aten.sqrt.default, variance), 1e-9)
    return scope.call(aten.div.Tensor, centred, deviation)


OPERATORS: Mapping[str, Operator] = {
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "qdiag.LayerNormalization": _layer_norm,
    "qdiag.GroupNormalization": _recognized_group_norm,
    "RMSNormalization": _rms_norm,
    "SimplifiedLayerNormalization": _rms_norm,
    "GroupNormalization": _group_norm,
    "LRN": _lrn,
    "LpNormalization": _lp_normalization,
    "MeanVarianceNormalization": _mean_variance,
}
