"""Padding with a value: an integer network pads with an integer of the tensor that it pads."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from qdiag.capture.ops import operation_name
from qdiag.core.graph import OpGraph
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp

_PLACES: Mapping[str, tuple[str, int]] = {"constant_pad_nd": ("value", 2), "pad": ("value", 3)}
"""Name and place of the value among the arguments."""


@dataclass(frozen=True, eq=False)
class PaddedWithInteger:
    """The operation with its value rounded by the quantizer of the tensor, and limited to its range."""

    quantizer: Quantizer

    @property
    def key(self) -> Hashable:
        return "padded_with_integer", self.quantizer.key

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See `Arithmetic`."""
        name, place = _PLACES[operation_name(op.node)]
        value = float(args[place] if place < len(args) else kwargs[name])
        rounded = float(self.quantizer.fake_quantize(torch.tensor([value])))
        if place < len(args):
            args = (*args[:place], rounded, *args[place + 1 :])
        else:
            kwargs = {**kwargs, name: rounded}
        return op.node.target(*args, **kwargs)  # type: ignore[operator]


def padded_with_integer(plan: QuantPlan, graph: OpGraph, node: fx.Node) -> PaddedWithInteger | None:
    """How a plan pads; None for other operations, for zeros, and for tensors in float or of several quantizers."""
    if padding_value(node) in (None, 0):
        return None
    found = [plan.layers[name].output for name in graph.sources.get(node.all_input_nodes[0].name, ())]
    first = found[0] if found else None
    if first is None or any(one is None or one.key != first.key for one in found):
        return None
    return PaddedWithInteger(first)


def padding_value(node: fx.Node) -> float | None:
    """What a node pads with; None where it pads with values of the tensor itself, or not at all."""
    found = _PLACES.get(operation_name(node)) if node.op == "call_function" else None
    if found is None:
        return None
    name, place = found
    mode = node.args[2] if len(node.args) > 2 else node.kwargs.get("mode", "constant")
    if operation_name(node) == "pad" and mode != "constant":
        return None
    value = node.args[place] if place < len(node.args) else node.kwargs.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
