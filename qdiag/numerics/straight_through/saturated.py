"""The straight-through estimator of a sign: backward, it counts as the identity from -1 to 1, and as constant beyond.

Source: arXiv 1602.02830, equation 4: `g_r = g_q 1_{|r| <= 1}`, the derivative of `clip(r, -1, 1)`.
"""

from typing import Any

import torch
from torch import Tensor


def saturated(x: Tensor, signs: Tensor) -> Tensor:
    """`signs`, bit for bit, with the derivative `1_{|x| <= 1}` with respect to x.

    Args:
        x: what the sign was taken of. signs: +1 and -1, or as the caller has it at 0, same shape.
    """
    found: Tensor = _Saturated.apply(x, signs)  # type: ignore[no-untyped-call]
    return found


class _Saturated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, signs: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return signs.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return gradients[0] * (x.abs() <= 1.0), None
