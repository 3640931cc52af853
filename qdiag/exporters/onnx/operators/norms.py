"""Norms that no layer takes in."""

from collections.abc import Mapping

import numpy as np

from qdiag.exporters.onnx.call import Call
from qdiag.exporters.onnx.operators.kind import Writer, Written


def _ones_or(call: Call, key: str, count: int, value: float) -> str:
    if call.has(key):
        return call.tensor(key)
    return call.graph.constant(f"all_{value:g}_{count}", np.full(count, value, np.float32))


def _epsilon(call: Call) -> float:
    return float(call.get("eps", 1e-5))


def _layer_norm(call: Call) -> Written:
    shape = call.get("normalized_shape")
    if call.has("weight"):
        scale = call.tensor("weight")
    else:
        scale = call.graph.constant("all_1_" + "_".join(map(str, shape)), np.ones(shape, np.float32))
    bias = (call.tensor("bias"),) if call.has("bias") else ()
    out = call.add("LayerNormalization", call.tensor("input"), scale, *bias, axis=-len(shape), epsilon=_epsilon(call))
    return [out] if isinstance(call.example(), list) else out


def _batch_norm(call: Call) -> str:
    if not call.has("running_mean") or call.get("training", False):
        raise call.error("takes its statistics from the batch, which a file for deployment does not do")
    count = call.shape("input")[1]
    inputs = (_ones_or(call, "weight", count, 1.0), _ones_or(call, "bias", count, 0.0))
    moments = (call.tensor("running_mean"), call.tensor("running_var"))
    return call.add("BatchNormalization", call.tensor("input"), *inputs, *moments, epsilon=_epsilon(call))


def _instance_norm(call: Call) -> str:
    if call.has("running_mean") and not call.get("use_input_stats", True):
        return _batch_norm(call)
    count = call.shape("input")[1]
    inputs = (_ones_or(call, "weight", count, 1.0), _ones_or(call, "bias", count, 0.0))
    return call.add("InstanceNormalization", call.tensor("input"), *inputs, epsilon=_epsilon(call))


def _group_norm(call: Call) -> Written:
    """The channels of a group as one: an InstanceNormalization of each, then scale and shift of every channel."""
    key = "input"
    x, shape = call.tensor(key), call.shape(key)
    groups = int(call.get("num_groups", call.get("group")))
    apart = call.add("Reshape", x, call.graph.integers([0, groups, -1]), suffix="/groups")
    ones, zeros = _ones_or(call, "", groups, 1.0), _ones_or(call, "", groups, 0.0)
    out = call.add("InstanceNormalization", apart, ones, zeros, suffix="/normalized", epsilon=_epsilon(call))
    out = call.add(
        "Reshape", out, call.add("Shape", x, suffix="/shape"), suffix="" if not call.has("weight") else "/all"
    )
    per_channel = call.graph.integers([-1, *[1] * (len(shape) - 2)])
    for key, op in (("weight", "Mul"), ("bias", "Add")):
        if call.has(key):
            factor = call.add("Reshape", call.tensor(key), per_channel, suffix=f"/{key}")
            out = call.add(op, out, factor, suffix="" if key == "bias" else "/scaled")
    return [out] if isinstance(call.example(), list) else out


def _rms_norm(call: Call) -> str:
    x, axes = call.tensor("input"), len(call.get("normalized_shape"))
    square = call.add("Mul", x, x, suffix="/square")
    axis = call.graph.integers(list(range(-axes, 0)))
    mean = call.add("ReduceMean", square, axis, suffix="/mean", keepdims=1)
    # torch's default is the smallest step of the type
    epsilon = call.number(float(call.get("eps", float(np.finfo(np.float32).eps))))
    root = call.add("Sqrt", call.add("Add", mean, epsilon, suffix="/shifted"), suffix="/root")
    out = call.add("Div", x, root, suffix="/normalized" if call.has("weight") else "")
    return call.add("Mul", out, call.tensor("weight")) if call.has("weight") else out


OPERATORS: Mapping[str, Writer] = {
    **dict.fromkeys(("layer_norm", "native_layer_norm"), _layer_norm),
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    "instance_norm": _instance_norm,
    **dict.fromkeys(("group_norm", "native_group_norm"), _group_norm),
    "rms_norm": _rms_norm,
}
