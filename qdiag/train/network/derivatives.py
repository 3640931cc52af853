"""What a quantizer counts as when the gradient passes: its values are those of the simulator, bit for bit."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from qdiag.numerics.layout import as_units, dense, from_units
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.binary import Binary
from qdiag.numerics.straight_through.identity import identity
from qdiag.numerics.straight_through.learned_step import gradient_scale, learned_step
from qdiag.numerics.straight_through.sloped import sloped


@dataclass(frozen=True)
class LearnedStep:
    """The step of an affine quantizer as a parameter.

    Attributes:
        value: shape () or (C,), asks for its gradient. value_count: values that share one step, of one sample.
    """

    value: Tensor
    value_count: int


def quantized(
    x: Tensor, quantizer: Quantizer, step: LearnedStep | None = None, *, value: Tensor | None = None
) -> Tensor:
    """`quantizer.fake_quantize(x)` with a derivative.

    - affine: 1 where the nearest integer is one that there is, 0 where the value is clipped (arXiv 1712.05877, section
      3); with a learned step also one with respect to that.
    - binary: that of `clip(x, -1, 1)` (arXiv 1602.02830, equation 4); of the centred value where signs are taken of
      that; with magnitudes a times that, and 1 / n more (arXiv 1603.05279, equation 11).
    - other formats of a whole tensor: 1 inside the range, 0 beyond; per channel, per group and in blocks: 1.

    Args:
        step: where it is learned. value: `quantizer.fake_quantize(x)`, where that is at hand.
    """
    if value is None:
        with torch.no_grad():
            value = quantizer.fake_quantize(dense(x.detach()))
    if isinstance(quantizer, Affine):
        return _affine(x, value, quantizer, step)
    if isinstance(quantizer, Binary):
        return _binary(x, value, quantizer)
    if quantizer.channel_axis is None and quantizer.group_size is None:
        low, high = quantizer.clip_bounds
        if math.isfinite(low) or math.isfinite(high):
            return sloped(x, value, (x.detach() >= low) & (x.detach() <= high))
    return identity(x, value)


def _affine(x: Tensor, value: Tensor, quantizer: Affine, step: LearnedStep | None) -> Tensor:
    axis, group = quantizer.channel_axis, quantizer.group_size
    units = as_units(x.detach(), axis, group)
    zero_point = quantizer.per_unit(quantizer.zero_point, units.ndim)
    low, high = quantizer.quant_min - zero_point, quantizer.quant_max - zero_point
    if step is not None:
        scale = gradient_scale(step.value_count, quantizer.quant_max)
        return learned_step(x, quantizer.per_unit(step.value, x.ndim), value, low, high, scale)
    integers = (units / quantizer.per_unit(quantizer.scale, units.ndim)).round()
    return sloped(x, value, from_units((integers >= low) & (integers <= high), x, axis, group))


def _binary(x: Tensor, value: Tensor, quantizer: Binary) -> Tensor:
    taken = x
    if quantizer.centred_axis is not None:
        exact = x.double()
        taken = (exact - exact.mean(quantizer.centred_axis, keepdim=True)).clamp(-1.0, 1.0).float()
    slope = (taken.detach().abs() <= 1.0) * quantizer.per_unit(quantizer.alpha, x.ndim)
    if quantizer.has_scale:
        slope = slope + 1.0 / (x.numel() // quantizer.alpha.numel())
    return sloped(taken, value, slope)
