"""Weights that are binary or ternary as they stand: -a and +a in each channel, or these and zero."""

from typing import Literal

import torch
from torch import Tensor

_RELATIVE = 1e-5
"""What rounding of float32 makes of equal magnitudes."""


def low_bit_format(weight: Tensor, channel_axis: int) -> Literal["binary", "ternary"] | None:
    """The narrowest format that holds a weight exactly, one magnitude per channel; None for any other weight.

    Args:
        weight: any shape, output channels along `channel_axis`.
    """
    if weight.ndim < 2 or not weight.numel() or not weight.is_floating_point():
        return None
    rows = weight.detach().movedim(channel_axis, 0).flatten(1)
    is_level = _are_levels(rows[:1])
    if is_level is None or (is_level := _are_levels(rows)) is None or not bool(rows.any()):
        return None
    return "binary" if is_level else "ternary"


def _are_levels(rows: Tensor) -> bool | None:
    """True where every |value| is the largest of its row, False where some are zero instead, None for others."""
    magnitude = rows.abs()
    largest = magnitude.amax(1, keepdim=True)
    is_largest = magnitude >= largest * (1.0 - _RELATIVE)
    if bool(is_largest.all()):
        return True
    return False if bool((is_largest | (magnitude == 0.0)).all()) and bool(torch.isfinite(largest).all()) else None
