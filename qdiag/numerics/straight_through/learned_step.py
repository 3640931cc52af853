"""Rounding to even steps whose width is learned.

Source: Esser et al., Learned Step Size Quantization, arXiv 1902.08153, equations 1 to 3 and section 2.2. A value counts
as clipped where the integer nearest to it lies beyond the integers, as in torch's `_fake_quantize_learnable_*`.
"""

import math
from typing import Any

import torch
from torch import Tensor


def gradient_scale(value_count: int, largest: int) -> float:
    """`1 / sqrt(n Q_p)`, by which the gradient of a step is multiplied (section 2.2).

    Args:
        value_count: n, weights that share the step, or values of one sample. largest: Q_p, the largest integer.
    """
    return 1.0 / math.sqrt(max(1, value_count * largest))


def learned_step(x: Tensor, step: Tensor, rounded: Tensor, low: Tensor, high: Tensor, scale: float) -> Tensor:
    """`rounded`, bit for bit, with derivatives with respect to x and to the step.

    With q = x / step: with respect to x, 1 where `low <= round(q) <= high` and 0 elsewhere; with respect to the step,
    `round(q) - q` there, `low` below and `high` above, times `scale`, summed over the values that share the step.

    Args:
        x: what was rounded. step: in a shape that broadcasts with x. rounded: what became of x, same shape.
        low, high: integers, counted from the zero point, in shapes that broadcast with x.
        scale: of the step's gradient, see `gradient_scale`.
    """
    found: Tensor = _LearnedStep.apply(x, step, rounded, low, high, scale)  # type: ignore[no-untyped-call]
    return found


class _LearnedStep(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, rounded: Tensor, low: Tensor, high: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(x, step, low, high)
        ctx.scale = scale
        return rounded.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        x, step, low, high = ctx.saved_tensors
        exact = x / step
        q = exact.round()
        inside = (q >= low) & (q <= high)
        slope = torch.where(inside, q - exact, torch.where(q < low, low, high))
        of_step = (gradients[0] * slope).sum_to_size(step.shape) * ctx.scale
        return gradients[0] * inside, of_step, None, None, None, None
