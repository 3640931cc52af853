"""Operations between a concat and an output after which every value is still told apart from the others."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.capture.ops import kind_and_policy, operation_name

_MOVES = frozenset(
    (
        *("reshape", "view", "flatten", "unflatten", "permute", "transpose", "t", "numpy_T", "movedim", "swapaxes"),
        *("squeeze", "unsqueeze", "expand", "repeat", "repeat_interleave", "tile", "clone", "contiguous", "slice"),
        *("select", "narrow", "index_select", "index", "chunk", "split", "split_with_sizes", "unbind", "tensor_split"),
        *("roll", "flip", "rot90", "alias", "to", "_to_copy", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
        *("native_channel_shuffle", "detach", "dropout", "getitem"),
    )
)
"""Of the policy `pass`, those that neither compare values nor add any."""
_MIXING = frozenset(("glu", "sum", "softmax", "concat"))
"""Of the operations that are a kind of their own, those whose results depend on several values."""


def is_concat(node: fx.Node) -> bool:
    """Joins tensors, or writes one into another."""
    return node.op == "call_function" and kind_and_policy(node)[0] == "concat"


def moves_values(node: fx.Node) -> bool:
    """Each value of the result is a value of the first argument, at a place that does not depend on the values."""
    return node.op == "call_function" and operation_name(node) in _MOVES and kind_and_policy(node)[1] == "pass"


def is_elementwise(node: fx.Node) -> bool:
    """Each value of the result depends on one value of each operand, at the same place."""
    if node.op != "call_function":
        return False
    (kind, policy), name = kind_and_policy(node), operation_name(node)
    return policy == "own" and name not in _MIXING and kind in (name, "clamp")


def keeps_apart(node: fx.Node) -> bool:
    """After the operation it is still known which value came from where."""
    return is_concat(node) or moves_values(node) or is_elementwise(node)


def shape_of(node: fx.Node) -> tuple[int, ...] | None:
    """With a batch of two wherever the graph takes any; None where capture did not see a tensor."""
    value = node.meta.get("val")
    return tuple(as_int(size) for size in value.shape) if isinstance(value, Tensor) else None


def as_int(size: int | torch.SymInt) -> int:
    """A size, two in place of what is free."""
    if isinstance(size, int):
        return size
    expression = size.node.expr
    return int(expression.subs(dict.fromkeys(expression.free_symbols, 2)))


def call(node: fx.Node, argument: Callable[[fx.Node], Any]) -> Any:
    """The operation on other arguments, given for each node among its own."""
    args, kwargs = fx.map_arg((node.args, dict(node.kwargs)), argument)
    return node.target(*args, **kwargs)  # type: ignore[operator]
