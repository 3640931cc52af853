"""Narrow sums: an accumulator that holds too few bits, and pairs of products that saturate in int16.

The accumulator (`accumulator_bits`) acts on every layer with integer inputs and weights. The 16-bit sums of two
neighbouring products are those that x86 processors without VNNI make first (`vpmaddubsw`: unsigned 8-bit activations
times signed weights); see `pair_sums` for the layers where they are followed.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.pair_sums import adds_pairs, lost_by_layer, sampled_pairs, without_lost_pairs

WIDE = 32
"""Bits of an accumulator that is taken as exact."""


@dataclass(frozen=True)
class Sums:
    """The same sums of products, without and with the limits, real units, any one shape."""

    unlimited: Tensor
    limited: Tensor


@dataclass(frozen=True)
class Saturating:
    """Sums within limits.

    Attributes:
        accumulator_bits: of the accumulator. adds_pairs: pairs of products saturate in int16.
        source, weight: quantizers of the layer's input (per tensor) and of its weight (per tensor or per channel).
    """

    accumulator_bits: int
    adds_pairs: bool
    source: Affine
    weight: Affine

    @cached_property
    def key(self) -> Hashable:
        return (self.accumulator_bits, self.adds_pairs, self.source.key, self.weight.key)

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.limited(op, args[0], FAKE_QUANTIZED.run(op, args, kwargs))

    def limited(self, op: LayerOp, x: Tensor, output: Tensor) -> Tensor:
        """The output as the limits leave it; the tensor given where they change nothing.

        Args:
            x: the quantized input. output: what the operation gave for it, bias included, before any clamp.
        """
        if self.adds_pairs:
            output = without_lost_pairs(op, x, output, self.source, self.weight)
        if self.accumulator_bits >= WIDE:
            return output
        low, high = self.bounds(op, output)
        if bool(((output < low) | (output > high)).any()):
            output = torch.maximum(torch.minimum(output, high), low)
        return output

    @property
    def may_lose_pairs(self) -> bool:
        """See `AddsPairs`."""
        return self.adds_pairs

    def lost_in_pairs(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """See `AddsPairs`."""
        del kwargs
        return lost_by_layer(op, args[0], self.source, self.weight) if self.adds_pairs else None

    def sums(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sums:
        """What the limits take away: with pairs, theirs at some output positions; otherwise the accumulator's."""
        pairs = sampled_pairs(op, args[0], self.source, self.weight) if self.adds_pairs else None
        if pairs is not None:
            return Sums(*pairs)
        return self.within_limits(op, FAKE_QUANTIZED.run(op, args, kwargs))

    def within_limits(self, op: LayerOp, exact: Tensor) -> Sums:
        """Sums of products in real units, without and with the limits of the accumulator."""
        low, high = self.bounds(op, exact)
        smallest, largest = torch.aminmax(exact) if exact.numel() else (low.max(), high.min())
        if bool((smallest >= low.max()) & (largest <= high.min())):
            return Sums(exact, exact)
        return Sums(exact, torch.maximum(torch.minimum(exact, high), low))

    def bounds(self, op: LayerOp, output: Tensor) -> tuple[Tensor, Tensor]:
        """Lowest and highest sum in real units, in shapes that broadcast with the output."""
        layer, weight_scale = op.layer, self.weight.scale.to(output.device).double()
        assert layer is not None
        if weight_scale.ndim and layer.weight_axis == 1:
            weight_scale = weight_scale.repeat(layer.groups)  # a transposed convolution repeats them in every group
        scale = self.source.scale.to(output.device).double() * weight_scale
        axis = layer.channel_axis(output.ndim)
        if scale.ndim and axis is not None:
            shape = [1] * output.ndim
            shape[axis] = -1
            scale = scale.view(shape)
        limit = float(1 << (self.accumulator_bits - 1))
        return (-limit * scale).to(output.dtype), ((limit - 1) * scale).to(output.dtype)


def saturating(plan: QuantPlan, layer: Layer) -> Saturating | None:
    """The limits under which a layer adds up; None where nothing can saturate, as under any ordinary scheme."""
    if plan.scheme.accumulator_bits >= WIDE and not plan.scheme.pair_saturation:
        return None
    found = on_integers(plan, layer)
    return found if found is not None and (found.accumulator_bits < WIDE or found.adds_pairs) else None


def on_integers(plan: QuantPlan, layer: Layer) -> Saturating | None:
    """The layer's sums with all limits of the scheme, wide ones too; None where input or weight are no integers."""
    operands = plan.integer_operands(layer)
    if operands is None:
        return None
    is_followed = plan.scheme.arithmetic == "float"  # a runtime that has no rule for the layer computes in float
    pairs = plan.scheme.pair_saturation and is_followed and adds_pairs(layer, *operands)
    return Saturating(plan.scheme.accumulator_bits, pairs, *operands)
