"""Attention as the products, the mask and the softmax that it consists of.

Source: the operator Attention of ONNX (opset 23, onnx/defs/nn).
"""

import math
from collections.abc import Mapping

import numpy as np
import torch

from qdiag.onnx.call import Call, Operator
from qdiag.onnx.values import Handle, Known, Value

aten = torch.ops.aten


def _attention(call: Call) -> "tuple[Value, ...]":
    """The result, and keys and values with those of the past before them."""
    scope = call.scope
    _check(call)
    is_flat = scope.rank(call.value(0)) == 3
    query, key, value = (_by_heads(call, n) for n in range(3))
    if call.has(4) and call.has(5):
        key = scope.call(aten.cat.default, [call.x(4), key], 2)
        value = scope.call(aten.cat.default, [call.x(5), value], 2)
    present = key, value
    repeats = int(scope.shape(query)[1]) // int(scope.shape(key)[1])
    if repeats > 1:
        key, value = (scope.call(aten.repeat_interleave.self_int, one, repeats, 1) for one in (key, value))
    scale = float(call.attribute("scale", 0.0)) or 1.0 / math.sqrt(int(scope.shape(query)[3]))
    product = scope.call(aten.matmul.default, query, scope.call(aten.transpose.int, key, 2, 3))
    scores = _masked(call, scope.call(aten.mul.Tensor, product, scale))
    found = scope.call(aten.matmul.default, scope.call(aten.softmax.int, scores, -1), value)
    if is_flat:
        places = scope.shape(found)[2]
        found = scope.call(aten.permute.default, found, [0, 2, 1, 3])
        width = math.prod(int(size) for size in scope.shape(found)[2:])
        found = scope.call(aten.reshape.default, found, [-1, places, width])
    return found, *present


def _check(call: Call) -> None:
    if call.has(6):
        raise call.error("the lengths of padded sequences (nonpad_kv_seqlen) are not followed")
    if float(call.attribute("softcap", 0.0)) != 0.0:
        raise call.error("limited scores (softcap) are not computed")
    if len(call.node.outputs) > 3 and call.node.outputs[3]:
        raise call.error("its scores are no output (qk_matmul_output)")
    if any(int(call.attribute(name, -1)) >= 0 for name in ("left_window_size", "right_window_size")):
        raise call.error("windows of places are not followed")


def _by_heads(call: Call, index: int) -> Handle:
    """(samples, heads, places, size)."""
    scope, x = call.scope, call.x(index)
    if scope.rank(x) == 4:
        return x
    heads = int(call.attribute("kv_num_heads" if index else "q_num_heads", 0))
    if not heads:
        raise call.error("it does not say how many heads its inputs of three axes have")
    _, places, width = scope.shape(x)
    apart = scope.call(aten.reshape.default, x, [-1, places, heads, int(width) // heads])
    return scope.call(aten.permute.default, apart, [0, 2, 1, 3])


def _masked(call: Call, scores: Handle) -> Handle:
    """Scores with the mask added, or with minus infinity where it forbids a place."""
    scope = call.scope
    if call.has(3):
        mask = call.x(3)
        if scope.shape(mask)[-1] != scope.shape(scores)[-1]:
            raise call.error("its mask is shorter than its keys")
        if scope.dtype(mask) == torch.bool:
            forbidden = scope.call(aten.logical_not.default, mask)
            scores = scope.call(aten.masked_fill.Scalar, scores, forbidden, -math.inf)
        else:
            scores = scope.call(aten.add.Tensor, scores, mask)
    if call.attribute("is_causal", 0):
        queries, keys = (int(size) for size in scope.shape(scores)[2:])
        past = int(scope.shape(call.value(4))[2]) if call.has(4) else 0
        behind = np.triu(np.ones((queries, keys), bool), past + 1)
        scores = scope.call(aten.masked_fill.Scalar, scores, scope.tensor(Known(behind)), -math.inf)
    return scores


OPERATORS: Mapping[str, Operator] = {"Attention": _attention}
