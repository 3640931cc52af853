"""What an arithmetic that approximates makes of a layer, against the exact one."""

from collections.abc import Mapping
from typing import Any

from torch import fx

from qdiag.core.graph import Layer
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.distributed.collector import merge_by_name
from qdiag.numerics.error_accumulator import ErrorAccumulator
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import Arithmetic, LayerOp, clamped
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED, FakeQuantized
from qdiag.simulate.arithmetic.rounded_operands import RoundedOperands
from qdiag.simulate.arithmetic.saturating import Saturating
from qdiag.simulate.arithmetic.table import in_real_numbers
from qdiag.simulate.passes.lanes import LOCAL, has_lanes, pick
from qdiag.simulate.passes.observer import LayerObserver


class ArithmeticObserver(LayerObserver):
    """Runs a layer a second time, exactly, where its arithmetic is neither exact nor one that saturates.

    That it rounds its input as it reads it is a loss of that input, see `LossObserver`.

    Both see the quantized reference inputs of the paired pass; what they give is compared behind the fused clamp, and
    before any quantizer.
    """

    carried = ("_errors",)

    def __init__(self, plan: QuantPlan) -> None:
        self._plan = plan
        self._errors: dict[str, ErrorAccumulator] = {}
        self._arithmetics: dict[str, Arithmetic] = {}

    def merge(self, later: "ArithmeticObserver") -> None:
        """See `Collector`."""
        merge_by_name(self._errors, later._errors)

    def before(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if layer.name not in self._arithmetics:
            self._arithmetics[layer.name] = in_real_numbers(self._plan, layer)
        arithmetic = self._arithmetics[layer.name]
        if isinstance(arithmetic, FakeQuantized | Saturating | RoundedOperands) or not has_lanes((args, kwargs)):
            return
        op, inputs = LayerOp(node, layer), pick((args, kwargs), LOCAL)
        exact, own = clamped(FAKE_QUANTIZED.run(op, *inputs), layer), clamped(arithmetic.run(op, *inputs), layer)
        self._errors.setdefault(layer.name, ErrorAccumulator()).add(reference=exact, simulated=[own])

    def errors(self) -> Mapping[str, ErrorSums]:
        """Layer name to the error of its arithmetic alone."""
        return {name: errors.sums()[0] for name, errors in self._errors.items()}
