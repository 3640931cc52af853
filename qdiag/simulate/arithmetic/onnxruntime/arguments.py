"""Arguments of an operation with which onnxruntime computes in float, although it has a kernel for others."""

from collections.abc import Iterator
from typing import Any

from torch import fx

from qdiag.capture.ops import kind_and_policy, operation_name
from qdiag.simulate.arithmetic.onnxruntime.pooling import ADAPTIVE

_MASKS = ("masked_fill", "where")


def difference_by_arguments(node: fx.Node) -> str | None:
    """Why integers may differ for the arguments of the operation with which a layer begins; None where they do not."""
    name = operation_name(node)
    if name == "pow" and not isinstance(node.args[1], int | float):
        return "a power with an exponent for each value computes in float"
    if name in ("add", "sub") and node.kwargs.get("alpha", 1) != 1 and isinstance(node.args[1], fx.Node):
        return "alpha is multiplied with in float, in a step of its own"
    if name in ADAPTIVE and _has_uneven_windows(node, ADAPTIVE[name]):
        return "windows of several sizes have no operator in ONNX"
    if name == "mean" and not _is_followed(node):
        return "float32 sums over these axes are made in another order"
    if name in ("softmax", "_softmax") and any(operation_name(one) in _MASKS for one in _moved_from(node.args[0])):
        return "masked scores are no integers, and the softmax of them computes in float"
    return None


def _has_uneven_windows(node: fx.Node, axes: int) -> bool:
    sizes: Any = node.args[1]
    shape = _shape(node)
    if shape is None or all(size == 1 for size in sizes):
        return False
    return any(have % wanted for have, wanted in zip(shape[-axes:], sizes, strict=True))


def _is_followed(node: fx.Node) -> bool:
    """The order of the sums is known: over all axes behind the channels, or over neighbours behind the first axis."""
    shape, axes = _shape(node), node.args[1] if len(node.args) > 1 else None
    if shape is None:
        return True
    if not isinstance(axes, list | tuple) or not axes or node.kwargs.get("dtype") is not None:
        return False
    places = sorted(int(axis) % len(shape) for axis in axes)
    return places[0] > 0 and places == list(range(places[0], places[-1] + 1))


def _shape(node: fx.Node) -> list[int] | None:
    """Of what it reads; sizes that vary count as they were captured."""
    source = node.args[0]
    value = source.meta.get("val") if isinstance(source, fx.Node) else None
    return [int(size) for size in value.shape] if value is not None and hasattr(value, "shape") else None


def _moved_from(value: Any) -> Iterator[fx.Node]:
    """Operations that only move what is read, from the last to the first."""
    while isinstance(value, fx.Node) and value.op == "call_function" and kind_and_policy(value)[1] == "pass":
        yield value
        value = value.args[0] if value.args else None
