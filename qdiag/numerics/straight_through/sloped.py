"""The straight-through estimator with a slope for each value: 1 inside a range and 0 beyond, or any other.

Sources: arXiv 1712.05877, section 3 (rounding counts as the identity inside the range, and values that are clipped as
constants); arXiv 1603.05279, equation 11 (signs times a magnitude).
"""

from typing import Any

import torch
from torch import Tensor


def sloped(x: Tensor, rounded: Tensor, slope: Tensor) -> Tensor:
    """`rounded`, bit for bit, with the derivative `slope` with respect to x.

    Args:
        x: what was rounded. rounded: what became of it, same shape. slope: of each value, same shape, bool or float.
    """
    found: Tensor = _Sloped.apply(x, rounded, slope)  # type: ignore[no-untyped-call]
    return found


class _Sloped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rounded: Tensor, slope: Tensor) -> Tensor:
        del x
        ctx.save_for_backward(slope)
        return rounded.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None, None
