"""Straight-through estimators written as a sum, `q - x + x` or `x + (q - x)`, become the `q` that they stand for.

Training needs them for the gradient alone (arXiv 1308.3432; Bi-Real Net, arXiv 1808.00278, has a polynomial as x, and
batches of operations for it): a backend computes q, and so does the graph.
"""

from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten


def skip_straight_through(graph: fx.Graph) -> None:
    """Rewrites the graph in place; what served the gradient alone is gone."""
    has_skipped = False
    for node in list(graph.nodes):
        value = _value(node)
        if value is not None:
            node.replace_all_uses_with(value)
            has_skipped = True
    if has_skipped:
        graph.eliminate_dead_code()


def _value(node: fx.Node) -> fx.Node | None:
    """The q of `q - x + x`, in either order of the sum; None for anything else."""
    if not _is_plain(node, aten.add.Tensor):
        return None
    for difference, other in (node.args[:2], node.args[1::-1]):
        if isinstance(difference, fx.Node) and _is_plain(difference, aten.sub.Tensor) and difference.args[1] is other:
            value = difference.args[0]
            return value if isinstance(value, fx.Node) and _is_alike(value, node) else None
    return None


def _is_plain(node: fx.Node, target: Any) -> bool:
    """A sum or a difference of two values, neither of them multiplied on the way."""
    return node.op == "call_function" and node.target is target and len(node.args) == 2 and not node.kwargs


def _is_alike(value: fx.Node, node: fx.Node) -> bool:
    """Of the same shape and type, so that nothing was broadcast or converted."""
    a, b = value.meta.get("val"), node.meta.get("val")
    return isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape and a.dtype == b.dtype
