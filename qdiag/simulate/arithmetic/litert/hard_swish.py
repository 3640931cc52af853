"""HARD_SWISH in 16 bits, as all kernels of LiteRT compute it."""

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.litert.fixed_point import Multiplier, shifted_down
from qdiag.simulate.arithmetic.litert.rule import number

_HALF = 1 << 14
_LOW, _HIGH = -(1 << 15), (1 << 15) - 1
_FINER = 7
"""Bits by which the input is shifted to the left."""


def hard_swish(steps: Tensor, source: Affine, output: Affine) -> Tensor | None:
    """`q_y - z_y` of `q_x - z_x`; None where the kernel refuses the scales.

    With `h = 2^7 (q_x - z_x)` and multipliers of 15 bits, `a = M(s_x / (128 s_y)) h` is the value at the scale of the
    output and `r = (M(s_x / (128 3 / 2^15)) h + 2^15) / 2` a factor from 0 to 1, both saturated; `trunc(a r / 2^15)`
    is shifted to the scale of the output, halves away from 0.
    """
    finer = number(source.scale) * number(1.0 / (1 << _FINER))
    at_output, at_output_shift = _short(finer / number(output.scale))
    by_three, shift = _short(finer / number(3.0 / 32768.0))
    if at_output_shift > 0:
        return None
    value = steps << _FINER
    factor = value
    if shift > 0:
        factor = (factor << (shift - 1)).clamp(_LOW, _HIGH)
    factor = _product(factor, by_three)
    if shift > 0:
        factor = (factor << 1).clamp(_LOW, _HIGH)
    if shift < 0:
        factor = shifted_down(factor, -shift)
    factor = (factor + (1 << 15)) >> 1
    product = torch.div(factor * _product(value, at_output), 1 << 15, rounding_mode="trunc")
    return shifted_down(product, -at_output_shift)


def _short(real: Tensor) -> tuple[int, int]:
    """Mantissa of 15 bits, and shift."""
    by = Multiplier.of(real.double())
    mantissa = int(by.mantissa)
    is_largest = mantissa >= (1 << 31) - 1 - (1 << 15)
    return (_HIGH if is_largest else (mantissa + (1 << 15)) >> 16), int(by.shift)


def _product(x: Tensor, by: int) -> Tensor:
    """The upper half of twice the product, rounded to the nearest."""
    product = x * by
    return torch.div(product + torch.where(product >= 0, _HALF, 1 - _HALF), 1 << 15, rounding_mode="trunc")
