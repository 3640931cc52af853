"""Sums of products, by what the two engines share: integers as wide as they are, and narrower accumulators."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import (
    ACCUMULATOR_BITS,
    accumulated,
    along_channels,
    exact_sums,
    integers,
    is_byte,
    magnitude,
    may_wrap,
    pieces,
)
from qdiag.simulate.arithmetic.operands import Operands
from qdiag.simulate.arithmetic.pytorch.rule import Rule, number
from qdiag.simulate.arithmetic.saturating import Sums


@dataclass(frozen=True, eq=False)
class WeightedSums(Rule):
    """Convolutions, transposed ones, and linear layers: int32 sums times one number for each channel, in float32.

    Attributes:
        source, weight: quantizers of input and weight.
        is_depthwise: every channel has a filter of its own.
        accumulator_bits: of a narrower accumulator, which saturates. adds_pairs: the processor adds pairs of products
            in int16, see `kernel_pairs`.
    """

    name: ClassVar[str] = "weighted_sums"

    source: Affine = field(kw_only=True)
    weight: Affine = field(kw_only=True)
    is_depthwise: bool = False
    accumulator_bits: int = ACCUMULATOR_BITS
    adds_pairs: bool = False

    @cached_property
    def key(self) -> Hashable:
        numbers = (self.source.key, self.weight.key, self.output.key)
        return ("torch", self.name, *numbers, self.is_depthwise, self.accumulator_bits, self.adds_pairs)

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        if op.weights is None or op.weights.integers is None:
            return None
        x = integers(args[0], self.source)
        values = self.with_bias(op, self.limited(op, self.total(op, x, args, kwargs)))
        multiplier = along_channels(self.multiplier(_layer(op)), values, op)
        for piece in pieces(values):
            piece.mul_(multiplier).round_()
        return self.values(values)

    def total(self, op: LayerOp, x: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """The sums of products, with the bias where that is an integer."""
        return exact_sums(op, x, args, kwargs, magnitude(self.source))

    def with_bias(self, op: LayerOp, total: Tensor) -> Tensor:
        """The sums in float32, with the bias."""
        return total.float()

    def sums(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sums:
        """The sums as they are and as the accumulator leaves them, real units, float64."""
        x = integers(args[0], self.source)
        exact = exact_sums(op, x, args, kwargs, magnitude(self.source))
        scale = along_channels(self._scales(_layer(op)).double(), exact, op)
        limited = self.limited(op, self.total(op, x, args, kwargs))
        return Sums(exact.double() * scale, limited.double() * scale)

    def can_wrap(self, op: LayerOp) -> bool:
        """See `Wraps`."""
        return may_wrap(op, magnitude(self.source), self.accumulator_bits)

    def limited(self, op: LayerOp, total: Tensor) -> Tensor:
        """What the accumulator leaves of the sums."""
        assert op.weights is not None and op.weights.integers is not None
        return accumulated(op, total, magnitude(self.source), self.accumulator_bits)

    def multiplier(self, layer: Layer) -> Tensor:
        """What the sums of each output channel are multiplied with, float32."""
        return self.input_scale(layer) / number(self.output.scale)

    def input_scale(self, layer: Layer) -> Tensor:
        """`f32(s_x s_w)` of each output channel."""
        return number(self.source.scale) * self._repeated(layer)

    def _scales(self, layer: Layer) -> Tensor:
        return self.source.scale.cpu().double() * self._repeated(layer).double()

    def _repeated(self, layer: Layer) -> Tensor:
        """Scales of the weight; channels of a transposed convolution repeat in every group."""
        scales = self.weight.scale.cpu().float()
        return scales.repeat(layer.groups) if scales.ndim and layer.weight_axis == 1 else scales


def _layer(op: LayerOp) -> Layer:
    assert op.layer is not None, "it has weights"
    return op.layer


def weighted_sums(
    kind: type[WeightedSums], plan: QuantPlan, layer: Layer, operands: Operands, output: Affine
) -> WeightedSums | None:
    """The rule of a layer with weights; None where torch has no integer kernel for it."""
    found, own = plan.integer_operands(layer), plan.layers[layer.name]
    if found is None or own.source is not None or not all(map(is_byte, found)):
        return None
    return kind(
        *(operands, output),
        source=found[0],
        weight=found[1],
        is_depthwise=layer.is_depthwise,
        accumulator_bits=min(plan.scheme.accumulator_bits, ACCUMULATOR_BITS),
        adds_pairs=plan.scheme.pair_saturation,
    )
