"""BatchNorm as a per-channel affine map, and its way into a neighbouring layer."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ChannelAffine:
    """`y = gain * x + shift` per channel, float64, shape (C,) each."""

    gain: Tensor
    shift: Tensor


def batch_norm_affine(
    gamma: Tensor | None, beta: Tensor | None, mean: Tensor, variance: Tensor, eps: float
) -> ChannelAffine:
    """`gain = gamma / sqrt(variance + eps)`, `shift = beta - gain * mean` (arXiv 1712.05877, eq. 14), shapes (C,)."""
    gain = (variance.double() + eps).rsqrt()
    if gamma is not None:
        gain = gain * gamma.double()
    shift = -gain * mean.double()
    if beta is not None:
        shift = shift + beta.double()
    return ChannelAffine(gain, shift)


def fold_after(
    weight: Tensor, bias: Tensor | None, norm: ChannelAffine, *, output_axis: int, groups: int = 1
) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer that does what the layer and the norm after it did.

    Args:
        weight: output channels on `output_axis`; on axis 1 (transposed convolution) they are split by groups, whose
            inputs lie on axis 0.
        bias: (C,) or None.

    Returns:
        Weight of the same shape and bias (C,), in the weight's dtype.
    """
    gain, bias_64 = norm.gain, torch.zeros_like(norm.gain) if bias is None else bias.double()
    if output_axis == 0:
        scaled = weight.double() * gain.view(-1, *[1] * (weight.ndim - 1))
    else:
        by_group = weight.double().reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
        scaled = (by_group * gain.view(groups, 1, -1, *[1] * (weight.ndim - 2))).reshape(weight.shape)
    return scaled.to(weight.dtype), (gain * bias_64 + norm.shift).to(weight.dtype)


def fold_before(weight: Tensor, bias: Tensor | None, norm: ChannelAffine, *, groups: int = 1) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer that does what the norm before it and the layer did.

    Exact for linear layers and for convolutions without zero padding.

    Args:
        weight: (C_out, C_in / groups, ...); bias: (C_out,) or None.
    """
    c_out, per_group = weight.shape[:2]
    tail = [1] * (weight.ndim - 2)
    gain = norm.gain.view(groups, per_group).repeat_interleave(c_out // groups, 0).view(c_out, per_group, *tail)
    shift = norm.shift.view(groups, per_group).repeat_interleave(c_out // groups, 0).view(c_out, per_group, *tail)
    wide = weight.double()
    new_bias = (wide * shift).flatten(1).sum(1)
    if bias is not None:
        new_bias = new_bias + bias.double()
    return (wide * gain).to(weight.dtype), new_bias.to(weight.dtype)
