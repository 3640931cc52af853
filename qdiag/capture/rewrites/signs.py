"""Every way to write a sign becomes one operation: `sign`, or `where(CONDITION, a, -a)` with plain numbers.

Networks write a sign with +1 at zero as `(x >= 0).float() * 2 - 1`, or as `where` of tensors that are filled with one
number, because `torch.sign(0)` is 0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten

_TO_FLOAT = (aten.to.dtype, aten._to_copy.default)
_FILLED = {aten.ones_like.default: 1.0, aten.zeros_like.default: 0.0, aten.ones.default: 1.0, aten.zeros.default: 0.0}
_ARITHMETIC: Mapping[Any, Callable[..., float]] = {
    aten.add.Tensor: lambda a, b: a + b,
    aten.sub.Tensor: lambda a, b: a - b,
    aten.mul.Tensor: lambda a, b: a * b,
    aten.rsub.Scalar: lambda a, b: b - a,
    aten.neg.default: lambda a: -a,
}


def canonical_signs(graph: fx.Graph, constants: Mapping[str, Tensor]) -> None:
    """Rewrites the graph in place."""
    reader = _Reader(constants)
    has_changed = False
    for node in list(graph.nodes):
        levels = reader.levels(node)
        if levels is None or levels.low != -levels.high or levels.high == 0.0 or node.target is aten.where.Scalar:
            continue
        with graph.inserting_before(node):
            sign = graph.call_function(aten.where.Scalar, (levels.condition, levels.high, levels.low))
        sign.meta = dict(node.meta)
        node.replace_all_uses_with(sign)
        has_changed = True
    if has_changed:
        graph.eliminate_dead_code()


@dataclass(frozen=True)
class _Levels:
    """A value that is `high` where a condition holds and `low` elsewhere."""

    condition: fx.Node
    high: float
    low: float


class _Reader:
    """What nodes are known to hold."""

    def __init__(self, constants: Mapping[str, Tensor]) -> None:
        self._constants = constants
        self._known: dict[fx.Node, _Levels | None] = {}

    def levels(self, node: fx.Node) -> _Levels | None:
        """The two levels of a value of the condition's shape; None for anything else."""
        if node not in self._known:
            self._known[node] = self._found(node) if node.op == "call_function" else None
        return self._known[node]

    def _found(self, node: fx.Node) -> _Levels | None:
        if node.target in _TO_FLOAT:
            return _Levels(node.args[0], 1.0, 0.0) if _is_bool(node.args[0]) and _is_float(node) else None  # type: ignore[arg-type]
        if node.target in (aten.where.self, aten.where.Scalar, aten.where.ScalarSelf, aten.where.ScalarOther):
            condition, high, low = node.args[0], self._number(node.args[1]), self._number(node.args[2])
            is_whole = isinstance(condition, fx.Node) and _is_float(node) and _shape(condition) == _shape(node)
            return _Levels(condition, high, low) if is_whole and high is not None and low is not None else None  # type: ignore[arg-type]
        combine = _ARITHMETIC.get(node.target)
        if combine is None or node.kwargs or len(node.args) > 2:
            return None
        sides = [self.levels(a) if isinstance(a, fx.Node) else None for a in node.args]
        known = [side for side in sides if side is not None]
        numbers = [self._number(a) for a, side in zip(node.args, sides, strict=True) if side is None]
        if len(known) != 1 or None in numbers or _shape(known[0].condition) != _shape(node):
            return None
        place = next(i for i, side in enumerate(sides) if side is not None)

        def at(level: float) -> float:
            return combine(*numbers[:place], level, *numbers[place:])

        return _Levels(known[0].condition, at(known[0].high), at(known[0].low))

    def _number(self, argument: Any) -> float | None:
        """The one number that an argument holds, however often; None for anything else."""
        if isinstance(argument, int | float):
            return float(argument)
        if not isinstance(argument, fx.Node):
            return None
        if argument.op == "placeholder":
            value = self._constants.get(str(argument.target))
            return float(value) if value is not None and value.numel() == 1 else None
        if argument.target in _FILLED:
            return _FILLED[argument.target]
        if argument.target in (aten.full_like.default, aten.full.default, aten.scalar_tensor.default):
            return self._number(argument.args[0 if argument.target is aten.scalar_tensor.default else 1])
        if argument.target is aten.neg.default:
            number = self._number(argument.args[0])
            return -number if number is not None else None
        return None


def _is_bool(node: Any) -> bool:
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    return isinstance(value, Tensor) and value.dtype == torch.bool


def _is_float(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.is_floating_point()


def _shape(node: fx.Node) -> tuple[Any, ...] | None:
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else None
