"""Narrow sums: an accumulator that holds too few bits, and pairs of products that saturate in int16.

The accumulator (`accumulator_bits`) acts on every layer with integer inputs and weights. The 16-bit sums of two
neighbouring products are those that x86 processors without VNNI make first (`vpmaddubsw`: unsigned 8-bit activations
times signed weights). They are followed in linear layers and in convolutions with one group, whose sums are one matrix
product; other kernels add in other orders, and are taken as free of them.
"""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.arithmetic.integers import along_channels, exact_sums, integers, is_byte, magnitude
from qdiag.simulate.arithmetic.kernel_pairs import Bytes, lost_in_pairs, lost_sums
from qdiag.simulate.passes.weights import integers_of

WIDE = 32
"""Bits of an accumulator that is taken as exact."""
_UINT8_MAX = 255
_IMAGES, _POSITIONS = 4, 64
"""Images and output positions of a batch that `Saturating.sums` adds up with pairs."""


@dataclass(frozen=True)
class Sums:
    """The same sums of products, without and with the limits, real units, any one shape."""

    unlimited: Tensor
    limited: Tensor


@runtime_checkable
class Wraps(Protocol):
    """The arithmetic of a layer whose accumulator wraps."""

    output: Affine

    def can_wrap(self, op: LayerOp) -> bool:
        """Some input may drive a sum out of the accumulator, and to its other end."""

    def sums(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sums:
        """The sums as they are and as the accumulator leaves them, real units."""


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
        return self.limited(op, args, FAKE_QUANTIZED.run(op, args, kwargs))

    def limited(self, op: LayerOp, args: tuple[Any, ...], output: Tensor) -> Tensor:
        """The output as the limits leave it; the tensor given where they change nothing.

        Args:
            args: of the operation, a quantized input first. output: what it gave for them, bias included, before any
                clamp.
        """
        lost = self._lost(op, args, output) if self.adds_pairs else None
        if lost is not None:
            output = output - lost * along_channels(self._step(output), output, op)
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
        if not self.adds_pairs:
            return None
        return lost_in_pairs(self._with_integers(op), args, kwargs, integers(args[0], self.source), self._bytes)

    def sums(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sums:
        """What the limits take away: with pairs, theirs at some output positions; otherwise the accumulator's."""
        if self.adds_pairs:
            return self._sampled_pairs(op, args, kwargs)
        return self.within_limits(op, FAKE_QUANTIZED.run(op, args, kwargs))

    def _lost(self, op: LayerOp, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """What int16 cuts off the sums of a layer, integers, in the shape of its output."""
        return lost_sums(output, self._with_integers(op), args, integers(args[0], self.source), self._bytes)

    def _sampled_pairs(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Sums:
        """Sums without the bias at some output positions, (positions, C), exact and with pairs that saturate."""
        layer, x = op.layer, args[0]
        assert layer is not None
        op = self._with_integers(op)
        few = _some(x.reshape(-1, x.shape[-1])) if layer.kind == "linear" else x[:_IMAGES]
        few = integers(few, self.source)
        total = exact_sums(op, few, args, kwargs, magnitude(self.source))
        lost = lost_sums(total, op, args, few, self._bytes)
        exact, step = _some(_rows(total, layer)), self._step(total)
        limited = exact if lost is None else exact - _some(_rows(lost, layer))
        return Sums(exact * step, limited * step)

    def _with_integers(self, op: LayerOp) -> LayerOp:
        """The operation with the integers of its weight, which training gives as values alone."""
        assert op.layer is not None and op.weights is not None and op.weights.weight is not None
        if op.weights.integers is not None:
            return op
        weight = op.weights.weight
        made = integers_of(self.weight.to(weight.device), weight, None, weight.device, op.layer)
        return replace(op, weights=replace(op.weights, integers=made))

    def _step(self, values: Tensor) -> Tensor:
        """`scale_in * scale_w`, () or (C,), float32."""
        return self.source.scale.to(values.device) * self.weight.scale.to(values.device)

    @property
    def _bytes(self) -> Bytes:
        return Bytes(float(self.source.zero_point), float(self.source.quant_max))

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


def _rows(values: Tensor, layer: Layer) -> Tensor:
    """(positions, C) of an output of the layer."""
    axis = layer.channel_axis(values.ndim)
    moved = values.movedim(-1 if axis is None else axis, -1)
    return moved.reshape(-1, moved.shape[-1])


def _some(rows: Tensor) -> Tensor:
    return rows[:: max(1, rows.shape[0] // _POSITIONS)]


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
    pairs = plan.scheme.pair_saturation and is_followed and _adds_pairs(layer, *operands)
    return Saturating(plan.scheme.accumulator_bits, pairs, *operands)


def _adds_pairs(layer: Layer, source: Affine, weight: Affine) -> bool:
    """The layer runs on the instruction that adds pairs in int16, and it is known in which order."""
    are_bytes = source.quant_min >= 0 and source.quant_max <= _UINT8_MAX and is_byte(weight)
    return are_bytes and (layer.kind == "linear" or (layer.kind == "conv" and layer.groups == 1))
