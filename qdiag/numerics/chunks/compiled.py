"""Rounding and sums of errors in one sweep over a chunk, compiled by numba where that is installed.

Torch takes four sweeps for a rounding and five for the sums of an error. Rounding gives the same numbers either way,
bit for bit; sums are added in another order.
"""

import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

LEAST = 1 << 17
"""Elements of a chunk for which compiled code is used: to start it takes a second."""
_PIECE = 2048
"""Elements that are added up in float32; pieces are added in float64."""
_starting = threading.Lock()


def round_chunk(source: Tensor, target: Tensor, *, scale: float, low: float, high: float) -> bool:
    """`clamp(round_half_even(x / scale), low, high) * scale` in float32, NaN as it is.

    Args:
        source, target: flat; may be the same tensor.

    Returns:
        False where this chunk is left to torch.
    """
    kernels = _kernels() if _fits(source) and _fits(target) else None
    if kernels is None:
        return False
    kernels[0](source.numpy(), target.numpy(), np.float32(scale), np.float32(low), np.float32(high))
    return True


def sum_chunk(reference: Tensor, simulated: Tensor) -> list[float] | None:
    """Of error = simulated - reference: its power, its product with the reference, its sum, its largest magnitude.

    Some of them is not finite where a value is not, or where a square overflows.

    Returns:
        None where this chunk is left to torch.
    """
    kernels = _kernels() if _fits(reference) and _fits(simulated) else None
    if kernels is None:
        return None
    found = np.zeros(4)
    kernels[1](reference.numpy(), simulated.numpy(), found)
    *sums, bits = found.tolist()
    return [*sums, float(np.int32(bits).view(np.float32))]


def _fits(x: Tensor) -> bool:
    is_plain = x.device.type == "cpu" and x.dtype == torch.float32 and not x.requires_grad
    return is_plain and x.ndim == 1 and x.numel() >= LEAST and x.is_contiguous()


def _kernels() -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """Rounding and sums; None where numba is missing or does not work."""
    with _starting:
        return _started()


@cache
def _started() -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    try:
        import numba
    except Exception:  # a package that is not needed may fail in its own way
        return None
    njit: Any = numba.njit
    rounding, sums = "void(f4[::1], f4[::1], f4, f4, f4)", "void(f4[::1], f4[::1], f8[::1])"
    for keeps in (True, False):  # no folder for compiled code may be writable
        try:
            how = {"nogil": True, "cache": keeps, "error_model": "numpy"}
            return njit(rounding, **how)(_round), njit(sums, fastmath={"reassoc", "contract"}, **how)(_sum)
        except Exception:
            continue
    return None


def _round(source: Any, target: Any, scale: Any, low: Any, high: Any) -> None:
    for i in range(source.shape[0]):
        steps = np.rint(source[i] / scale)
        steps = low if steps < low else steps
        steps = high if steps > high else steps
        target[i] = steps * scale


def _sum(reference: Any, simulated: Any, found: Any) -> None:
    count = reference.shape[0]
    for start in range(0, count, _PIECE):
        size = min(count, start + _PIECE) - start
        r, x = reference[start : start + size], simulated[start : start + size]
        power, product, total, largest = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.int32(0)
        for i in range(size):
            error = np.float32(x[i] - r[i])
            power += error * error
            product += error * r[i]
            total += error
            # the bits of magnitudes, as integers, are in the order of these
            bits = np.int32(error.view(np.int32) & np.int32(0x7FFFFFFF))
            largest = bits if bits > largest else largest
        found[0] += power
        found[1] += product
        found[2] += total
        found[3] = max(found[3], np.float64(largest))
