"""Normalizations, in float and taken apart as converters do: mean, deviation, variance, root, factor and offset."""

from collections.abc import Mapping, Sequence

import numpy as np

from qdiag.exporters.litert.build import Held
from qdiag.exporters.litert.call import Call, Write
from qdiag.exporters.litert.steps import Steps
from qdiag.litert.model import Array


def _normalized(steps: Steps, x: Held, axes: Sequence[int], epsilon: float, *, centred: bool = True) -> Held:
    deviation = steps.two("SUB", x, steps.mean(x, axes)) if centred else x
    variance = steps.mean(steps.two("MUL", deviation, deviation), axes)
    root = steps.one("RSQRT", steps.two("ADD", variance, steps.number(epsilon)))
    return steps.two("MUL", deviation, root)


def _affine(call: Call, steps: Steps, x: Held, shape: Sequence[int]) -> Held:
    """Times the weight, plus the bias, where there are any."""
    for kind, key in (("MUL", "weight"), ("ADD", "bias")):
        values = _constant(call, key)
        if values is not None:
            x = steps.two(kind, x, steps.constant(values.reshape(shape)))
    return x


def _constant(call: Call, key: str) -> Array | None:
    held = call.get(key)
    if held is None:
        return None
    if not isinstance(held, Held) or call.build.tensors[held.place].data is None:
        raise call.error(f"with a {key} that the network computes is not written")
    return call.build.tensors[call.build.in_float(held).place].data


def _source(call: Call) -> Held:
    held = call.get("input", call.get("self"))
    if not isinstance(held, Held):
        raise call.error("takes something else than a tensor")
    return call.build.in_order(call.build.in_float(held), "plain")


def _layer_norm(call: Call) -> Held:
    shape = [int(size) for size in call.get("normalized_shape")]
    x = _source(call)
    rank, steps = len(call.build.shape(x)), Steps(call, x)
    axes = range(rank - len(shape), rank)
    return _affine(call, steps, _normalized(steps, x, axes, _epsilon(call, 1e-5)), shape)


def _rms_norm(call: Call) -> Held:
    shape = [int(size) for size in call.get("normalized_shape")]
    x = _source(call)
    rank, steps = len(call.build.shape(x)), Steps(call, x)
    axes = range(rank - len(shape), rank)
    epsilon = _epsilon(call, float(np.finfo(np.float32).eps))
    return _affine(call, steps, _normalized(steps, x, axes, epsilon, centred=False), shape)


def _epsilon(call: Call, default: float) -> float:
    return float(call.get("eps", default))


def _in_groups(call: Call, groups: int) -> Held:
    x = _source(call)
    shape, steps = call.build.shape(x), Steps(call, x)
    rows = steps.reshaped(x, [shape[0], groups, int(np.prod(shape[1:])) // groups])
    made = steps.reshaped(_normalized(steps, rows, [2], _epsilon(call, 1e-5)), shape)
    return call.build.in_order(_affine(call, steps, made, [shape[1], *(1 for _ in shape[2:])]), "last")


def _group_norm(call: Call) -> Held:
    return _in_groups(call, int(call.get("num_groups")))


def _instance_norm(call: Call) -> Held:
    if call.get("use_input_stats") is False:
        raise call.error("with stored statistics is not written")
    return _in_groups(call, call.shape()[1])


def _batch_norm(call: Call) -> Held:
    """One that was not folded: a factor and an offset for each channel."""
    mean, variance = (_constant(call, key) for key in ("running_mean", "running_var"))
    if mean is None or variance is None or call.get("training", False) is True:
        raise call.error("with statistics of the batch is not written")
    x = _source(call)
    steps, shape = Steps(call, x), [mean.size, *(1 for _ in call.build.shape(x)[2:])]
    factor = 1.0 / np.sqrt(variance + np.float32(_epsilon(call, 1e-5)))
    x = steps.two(
        "MUL", steps.two("SUB", x, steps.constant(mean.reshape(shape))), steps.constant(factor.reshape(shape))
    )
    return call.build.in_order(_affine(call, steps, x, shape), "last")


OPERATORS: Mapping[str, Write] = {
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
}
