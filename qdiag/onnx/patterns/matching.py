"""Functions written as expressions, and where a graph spells them out.

A pattern is an operator with patterns of its inputs, a number, or a name. A name stands for any value, for the same one
wherever it comes again.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from qdiag.onnx.model import Array, OnnxGraph, OnnxNode, read_names

_COMMUTATIVE = ("Add", "Mul")
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Op:
    """One of some operators; inputs that are not named may be anything."""

    kinds: tuple[str, ...]
    inputs: tuple["Pattern", ...]
    attributes: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Weight:
    """A constant of several numbers, by its name in the match."""

    name: str


@dataclass(frozen=True)
class Scalar:
    """A constant that is one number, by its name in the match."""

    name: str


Pattern: TypeAlias = Op | Weight | Scalar | str | float


def op(kinds: str, *inputs: Pattern, **attributes: Any) -> Op:
    """`op("Mul", "x", op("Sigmoid", "x"))`; several kinds are separated by `|`."""
    return Op(tuple(kinds.split("|")), inputs, tuple(attributes.items()))


@dataclass(frozen=True)
class Match:
    """Nodes that a pattern covers, the last one first, and what its names stand for."""

    nodes: tuple[OnnxNode, ...]
    names: Mapping[str, str]


class Matcher:
    """Looks for patterns in a graph that does not change meanwhile."""

    def __init__(self, graph: OnnxGraph, kept: Collection[str] = ()) -> None:
        self.graph = graph
        self._makers = {name: node for node in graph.nodes for name in node.outputs if name}
        self._readers = Counter(name for node in graph.nodes for name in read_names(node))
        self._readers.update((*graph.outputs, *kept))

    def find(self, node: OnnxNode, patterns: Sequence[Op]) -> Match | None:
        """The first pattern that ends in the node, and whose other nodes nobody else reads."""
        for pattern in patterns:
            for match in self._node(node, pattern, {}, ()):
                if self._is_closed(match):
                    return match
        return None

    def constant(self, name: str) -> Array | None:
        """The values of a constant."""
        return self.graph.constants.get(name)

    def number(self, name: str) -> float | None:
        """A constant that is one number."""
        array = self.constant(name)
        return None if array is None or array.size != 1 else float(array.reshape(-1)[0])

    def _is_closed(self, match: Match) -> bool:
        """What the inner nodes give is read by nodes of the match alone."""
        inside = Counter(name for node in match.nodes for name in read_names(node))
        inner = {name for node in match.nodes[1:] for name in node.outputs if name}
        return all(self._readers[name] == inside[name] for name in inner)

    def _node(self, node: OnnxNode, pattern: Op, names: dict[str, str], nodes: tuple[OnnxNode, ...]) -> list[Match]:
        if node.kind not in pattern.kinds or len(node.inputs) < len(pattern.inputs):
            return []
        if any(not _is_equal(node.attributes.get(key), value) for key, value in pattern.attributes):
            return []
        orders = [node.inputs]
        if node.kind in _COMMUTATIVE and len(node.inputs) == 2:
            orders.append(node.inputs[::-1])
        found = []
        for order in orders:
            open_matches = [Match(nodes if node in nodes else (*nodes, node), names)]
            for value, inner in zip(order, pattern.inputs, strict=False):
                open_matches = [m for one in open_matches for m in self._value(value, inner, one)]
            found += open_matches
        return found

    def _value(self, value: str, pattern: Pattern, match: Match) -> list[Match]:
        if isinstance(pattern, str):
            if match.names.get(pattern, value) != value:
                return []
            return [Match(match.nodes, {**match.names, pattern: value})]
        if isinstance(pattern, Op):
            maker = self._makers.get(value)
            if maker is None or maker.outputs[0] != value:
                return []
            return self._node(maker, pattern, dict(match.names), match.nodes)
        array = self.constant(value)
        if array is None or array.dtype.kind != "f":
            return []
        if isinstance(pattern, Weight | Scalar):
            fits = (array.size == 1) == isinstance(pattern, Scalar)
            if not fits or match.names.get(pattern.name, value) != value:
                return []
            return [Match(match.nodes, {**match.names, pattern.name: value})]
        number = self.number(value)
        return [match] if number is not None and _is_near(number, pattern) else []


def _is_near(number: float, wanted: float) -> bool:
    return abs(number - wanted) <= _TOLERANCE * max(abs(wanted), 1e-6)


def _is_equal(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float):
        return isinstance(found, int | float) and _is_near(float(found), wanted)
    return bool(np.array_equal(found, wanted)) if found is not None else wanted is None
