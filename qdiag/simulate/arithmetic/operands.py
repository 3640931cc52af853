"""Which quantizer the values have that an operation reads."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import fx

from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.plan import QuantPlan


@dataclass(frozen=True, eq=False)
class Operands:
    """Quantizers by the graph nodes that a layer reads; None for values in float, and for those of several grids."""

    by_node: Mapping[str, Quantizer | None]

    @cached_property
    def key(self) -> Hashable:
        return tuple((name, one.key if one is not None else None) for name, one in self.by_node.items())

    def of(self, argument: Any) -> Quantizer | None:
        """The quantizer of an argument of the node."""
        return self.by_node.get(argument.name) if isinstance(argument, fx.Node) else None


def operands_under(plan: QuantPlan, layer: Layer) -> Operands:
    """What a layer reads under a plan."""
    return Operands({node: _common(plan, sources) for node, sources in layer.reads})


def _common(plan: QuantPlan, sources: tuple[str, ...]) -> Quantizer | None:
    found = [plan.layers[name].output for name in sources]
    first = found[0] if found else None
    if first is None or any(one is None or one.key != first.key for one in found[1:]):
        return None
    return first
