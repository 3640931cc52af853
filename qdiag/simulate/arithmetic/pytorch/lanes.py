"""How kernels for one value at a time round: most of a tensor 64 values at once, and what is left over one by one.

At once: `dq = fma(s, q, f32(-s z))`, `q_y = round(f32(x f32(1 / s_y))) + z_y`. One by one: `dq = f32(s (q - z))`,
`q_y = round(fma(x, f32(1 / s_y), z_y))`, so that halves fall to the other side where z_y is odd.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.pytorch.rule import reciprocal, stored, zero_point

LANES = 64
"""Bytes of a register of AVX-512."""
_PIECE = 1 << 17
"""Elements that are worked on at once, in float64."""

Function = Callable[..., Tensor]
"""float32 tensors of one shape to one, value by value."""


def elementwise(function: Function, tensors: Sequence[Tensor], quantizers: Sequence[Affine], output: Affine) -> Tensor:
    """`q - zero_point` of a function of quantized values, float32.

    Images lie in memory with their channels last. Tensors of one shape are one row of values; where one of them has one
    value for each channel of an image, each position of it is a row of its own.
    """
    shape = np.broadcast_shapes(*(tuple(one.shape) for one in tensors))
    x, *others = (one.expand(shape) for one in tensors)
    steps = torch.empty_like(x, memory_format=torch.contiguous_format)
    flat, parts = steps.view(-1), [one.contiguous().view(-1) for one in (x, *others)]
    for at in range(0, flat.numel(), _PIECE):
        wide = [at_once(one[at : at + _PIECE], quantizer) for one, quantizer in zip(parts, quantizers, strict=True)]
        flat[at : at + _PIECE] = steps_at_once(function(*wide), output)
    is_each = any(one.shape != x.shape for one in tensors)
    place: Any = _channels_left_over(x) if is_each else _left_over(x)
    if place is not None:
        steps[place] = steps_one_by_one(function(*(one[place] for one in (x, *others))), output)
    return steps


def at_once(x: Tensor, quantizer: Affine) -> Tensor:
    """Dequantized by a fused multiply-add, float32.

    Args:
        x: the values as they are, `f32(s (q - z))`.
    """
    scale = float(quantizer.scale)
    less = float((-quantizer.scale.cpu().float()) * zero_point(quantizer))
    return stored(x, quantizer).double().mul_(scale).add_(less).float()


def steps_at_once(x: Tensor, output: Affine) -> Tensor:
    """`q - zero_point`, limited to the range of uint8, in place."""
    return limited(x.mul_(reciprocal(output)).round_(), output)


def steps_one_by_one(x: Tensor, output: Affine) -> Tensor:
    """`q - zero_point`, limited to the range of uint8."""
    own = zero_point(output)
    return limited(x.double().mul(reciprocal(output)).add_(own).float().round_().sub_(own), output)


def limited(steps: Tensor, output: Affine) -> Tensor:
    """To what a byte holds, in place."""
    own = zero_point(output)
    return steps.clamp_(-own, 255.0 - own)


def _left_over(x: Tensor) -> tuple[Tensor, ...] | None:
    """Places of the last values in memory, fewer than `LANES`."""
    count = x.numel() % LANES
    if not count:
        return None
    order = (0, 2, 3, 1) if x.ndim == 4 else tuple(range(x.ndim))
    last = torch.arange(x.numel() - count, x.numel(), device=x.device)
    found = torch.unravel_index(last, [x.shape[axis] for axis in order])
    return tuple(found[order.index(axis)] for axis in range(x.ndim))


def _channels_left_over(x: Tensor) -> tuple[slice, ...] | None:
    """Channels beyond the last whole register of each position; everything in what is no image."""
    if x.ndim != 4:
        return (slice(None),)
    whole = x.shape[1] // LANES * LANES
    return (slice(None), slice(whole, None)) if whole < x.shape[1] else None
