"""The five losses of arXiv 1803.08607, section 2: one quantizer switched on at a time, on reference inputs.

Measured at the layer's output, after its clamp: quantized input alone, quantized weight alone, rounding of the output
alone, and what the clamp's upper bound (ReLU6) takes away. Saturation is measured on the sum of products itself, on
quantized inputs and weights, without against with the backend's limits, or whatever else its arithmetic does to sums.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx

from qdiag.core.graph import Layer
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.records import LossRecord
from qdiag.distributed.collector import merge_by_name
from qdiag.numerics.error_accumulator import ErrorAccumulator
from qdiag.numerics.layout import dense, flat_chunks, some_rows
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp, clamped
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED, FakeQuantized
from qdiag.simulate.arithmetic.litert.products import WeightedSums as LitertSums
from qdiag.simulate.arithmetic.onnxruntime.products import WeightedSums as OrtSums
from qdiag.simulate.arithmetic.pytorch.products import WeightedSums as TorchSums
from qdiag.simulate.arithmetic.rounded_operands import RoundedOperands, rounded_operands
from qdiag.simulate.arithmetic.saturating import Saturating, Sums, on_integers
from qdiag.simulate.arithmetic.table import arithmetic_of, in_real_numbers
from qdiag.simulate.passes.lanes import LOCAL, REFERENCE, Lanes, has_lanes, pick
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.weights import SimulatedWeights, simulated_weights

VALUES_PER_IMAGE = 1 << 16
"""Of a layer's output, as a rule: rows of an image that lie side by side tell the same of its errors."""


class LossObserver(LayerObserver):
    """Measures the five losses at every layer with arithmetic in a paired pass, while its inputs are at hand.

    Args:
        weights: of the quantized network, by layer, as far as they are at hand; what is missing is made.
        is_full: it compares whole images; otherwise some rows of large ones.
    """

    carried = ("_errors", "_sample_count")

    def __init__(
        self,
        network: Network,
        plan: QuantPlan,
        weights: dict[str, SimulatedWeights] | None = None,
        *,
        is_full: bool = True,
    ) -> None:
        self._network, self._plan, self._is_full = network, plan, is_full
        self._weights = weights if weights is not None else {}
        self._sample_count = 0
        self._errors: dict[str, _Losses] = {}
        self._pending: _Pending | None = None

    def merge(self, later: "LossObserver") -> None:
        """See `Collector`."""
        merge_by_name(self._errors, later._errors)
        self._sample_count += later._sample_count

    def begin(self, sample_count: int) -> None:
        super().begin(sample_count)
        self._sample_count += sample_count if self._looks else 0

    def before(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Runs the layer's operation once per loss."""
        if self._plan.layers[layer.name].skip_reason or not has_lanes((args, kwargs)):
            return
        if layer.weight is not None and layer.name not in self._weights:
            self._weights[layer.name] = simulated_weights(self._network, self._plan, layer)
        weights, run = self._weights.get(layer.name), FAKE_QUANTIZED.run
        op, quantized = LayerOp(node, layer), LayerOp(node, layer, weights)
        inputs, rounded = pick((args, kwargs), REFERENCE), pick((args, kwargs), LOCAL)
        reading = rounded_operands(self._plan, layer)
        if reading is not None:
            rounded = reading.rounded(op, rounded[0]), rounded[1]
        if self._is_in_lanes(layer):
            by_weight = run(quantized, *inputs) if weights is not None else None
            self._pending = _Pending(layer.name, run(op, *rounded), by_weight, quantized)
            return
        exact = run(op, *inputs)
        if not isinstance(exact, Tensor) or not exact.is_floating_point():
            return
        sums = self._sums(quantized, layer, rounded)
        by_input, by_weight = run(op, *rounded), run(quantized, *inputs) if weights is not None else None
        self._add(layer, exact, by_input, by_weight, sums)

    def _is_in_lanes(self, layer: Layer) -> bool:
        """The lanes of the pass have the exact output and the sums of products when the layer is opened."""
        arithmetics = arithmetic_of(self._plan, layer), in_real_numbers(self._plan, layer)
        is_whole = len(layer.nodes) == 1 + (layer.clamp is not None)
        return is_whole and all(isinstance(one, FakeQuantized) for one in arithmetics)

    def opened(self, layer: Layer, lanes: Lanes) -> None:
        """Compares, where the output of the layer's operation is at hand."""
        pending, self._pending = self._pending, None
        if pending is None or pending.layer != layer.name:
            return
        integers = on_integers(self._plan, layer)
        sums = integers.within_limits(pending.op, lanes.tensors[LOCAL]) if integers is not None else None
        self._add(layer, lanes.reference, pending.by_input, pending.by_weight, sums)

    def _add(self, layer: Layer, exact: Tensor, by_input: Tensor, by_weight: Tensor | None, sums: Sums | None) -> None:
        """Values before the clamp of the layer: exact, with its input quantized, with its weight quantized.

        All losses in one walk: what is clamped and rounded on the way stays in the cache, and the reference is added up
        once for three of them.
        """
        clamp, output = layer.clamp, self._plan.layers[layer.name].output
        losses = self._errors.setdefault(layer.name, _Losses())
        if sums is not None:
            losses.saturation.add(reference=sums.unlimited, simulated=[sums.limited])
        values = [dense(exact), by_input, *(() if by_weight is None else (by_weight,))]
        if not self._is_full:
            values = [some_rows(x, VALUES_PER_IMAGE) for x in values]
        for piece, *others in flat_chunks(*values):
            reference = clamped(piece, layer)
            losses.rounding.add_chunk(reference=reference, simulated=_rounded(layer, reference, others, output))
            is_bounded = clamp is not None and clamp[1] != math.inf
            unbounded = piece.clamp(min=clamp[0]) if clamp is not None and is_bounded else reference
            losses.clipping.add_chunk(reference=unbounded, simulated=[reference])

    def _sums(self, op: LayerOp, layer: Layer, rounded: tuple[tuple[Any, ...], dict[str, Any]]) -> Sums | None:
        """What the backend's arithmetic makes of the sums of products; None where it would make something of integers,
        and the layer has none.
        """
        arithmetic = arithmetic_of(self._plan, layer)
        if isinstance(arithmetic, OrtSums | LitertSums | TorchSums):
            return arithmetic.sums(op, *rounded)
        arithmetic = in_real_numbers(self._plan, layer)
        if not isinstance(arithmetic, FakeQuantized | Saturating | RoundedOperands):
            return Sums(FAKE_QUANTIZED.run(op, *rounded), arithmetic.run(op, *rounded))
        integers = on_integers(self._plan, layer)
        return integers.sums(op, *rounded) if integers is not None else None

    def records(self) -> dict[str, LossRecord]:
        """Layer name to its five losses."""
        return {name: LossRecord(*losses.sums(), self._sample_count) for name, losses in self._errors.items()}


@dataclass(frozen=True)
class _Pending:
    """What was computed before a layer ran: its output, not clamped, with one of input and weight quantized.

    Attributes:
        by_weight: None without weights. op: with the quantized weight.
    """

    layer: str
    by_input: Tensor
    by_weight: Tensor | None
    op: LayerOp


class _Losses:
    """The five losses of one layer: those of rounding input, weight and output share a reference."""

    def __init__(self) -> None:
        self.rounding, self.saturation, self.clipping = ErrorAccumulator(3), ErrorAccumulator(), ErrorAccumulator()

    def merge(self, later: "_Losses") -> None:
        """Adds what another one added up."""
        self.rounding.merge(later.rounding)
        self.saturation.merge(later.saturation)
        self.clipping.merge(later.clipping)

    def sums(self) -> tuple[ErrorSums, ErrorSums, ErrorSums, ErrorSums, ErrorSums]:
        """In the order of `LossRecord`."""
        by_input, by_weight, by_output = self.rounding.sums()
        return by_input, by_weight, self.saturation.sums()[0], by_output, self.clipping.sums()[0]


def _rounded(layer: Layer, reference: Tensor, others: Sequence[Tensor], output: Quantizer | None) -> Iterator[Tensor]:
    """A piece of the output with input, weight and output quantized, one after the other.

    Args:
        reference: behind the clamp. others: before it, of the input and, where there is one, the weight.
    """
    for value in others:
        yield clamped(value, layer)
    if len(others) == 1:
        yield reference
    yield output.fake_quantize(reference) if output is not None else reference
