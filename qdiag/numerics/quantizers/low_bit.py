"""Quantizers of what is binary or ternary already: they give every value back as it is."""

from typing import Literal

import torch
from torch import Tensor

from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.binary import Binary
from qdiag.numerics.quantizers.ternary import Ternary


def as_it_stands(weight: Tensor, form: Literal["binary", "ternary"], channel_axis: int) -> Quantizer:
    """The quantizer of a weight that `low_bit_format` found to be of this form, with the magnitudes that it has."""
    alpha = weight.detach().movedim(channel_axis, 0).flatten(1).abs().amax(1).float()
    has_scale = bool((alpha != 1.0).any())
    axis = channel_axis if has_scale else None
    alpha = alpha if has_scale else alpha[0]
    return Binary(alpha, has_scale, axis) if form == "binary" else Ternary(alpha, alpha / 2.0, has_scale, axis)


def sign_quantizer(magnitude: float) -> Quantizer:
    """The quantizer of an activation that is -a or a: one bit; zeros, which `torch.sign(0)` gives, become a."""
    return Binary(torch.tensor(magnitude), magnitude != 1.0)
