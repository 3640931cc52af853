"""Fake quantization in one operation on a GPU, where each operation reads and writes all of a tensor."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

_CODE = """
template <typename T> T fake_quantize(T x, T scale, T low, T high) {
    T steps = rint(x / scale);
    return (steps < low ? low : steps > high ? high : steps) * scale;
}
"""


@cache
def fused_rounding() -> Callable[..., Tensor] | None:
    """`clamp(round_half_even(x / scale), low, high) * scale`, NaN as it is; None where torch cannot compile it.

    The quotient is rounded as IEEE 754 says, like that of a CPU: torch multiplies by the reciprocal of a number there.
    """
    if not torch.cuda.is_available() or torch.version.hip is not None:
        return None
    try:
        compiled: Callable[..., Tensor] = torch.cuda.jiterator._create_jit_fn(_CODE, scale=1.0, low=0.0, high=0.0)
        compiled(torch.zeros(1, device="cuda"))
    except RuntimeError:
        return None
    return compiled
