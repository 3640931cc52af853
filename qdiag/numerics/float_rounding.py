"""Rounding to a floating-point format: to the nearest, ties to even, with subnormals."""

import math

import torch
from torch import Tensor

from qdiag.core.formats.float_format import FloatFormat

_EXPONENT_BITS, _MANTISSA_BITS = 8, 23
_EXPONENT = 0x7F800000
"""The exponent of a float32; alone, it is the largest power of two up to |x|, and 0 for a subnormal x."""


def round_to_format(x: Tensor, to: FloatFormat, *, saturates: bool) -> Tensor:
    """Every value as the nearest number of a format, of two that are equally near the one with an even mantissa.

    Source: OFP8 v1.0, section 5.2.1, table 4; IEEE 754-2019, section 4.3.1.

    Args:
        x: float32, any shape. It is written to, and returned.
        saturates: values beyond the largest number become that number, infinities too. Otherwise they become infinite
            where the format has infinities, and NaN where it has NaN alone; a format with neither always saturates. NaN
            stays NaN, also where the format has none: it should be seen, not turned into a number.
    """
    if to.specials == "none" or saturates:
        x.clamp_(-to.largest, to.largest)
    if to.exponent_bits == _EXPONENT_BITS:
        return _round_mantissa(x, to.mantissa_bits)
    if to.specials == "none" or saturates:
        step = _steps(x, to)
        return x.div_(step).round_().mul_(step)
    overflown = x.abs() >= to.overflow if _rounds_up(to) else x.abs() > to.overflow
    beyond = torch.full_like(x, math.inf).copysign_(x) if to.specials == "inf" else torch.full_like(x, math.nan)
    step = _steps(x, to)
    x.div_(step).round_().mul_(step)
    return torch.where(overflown, beyond, x, out=x)


def _round_mantissa(x: Tensor, mantissa_bits: int) -> Tensor:
    """Where exponents are those of float32: on the bits, since steps among subnormal numbers may count as zero.

    What is carried out of the mantissa goes into the exponent, and from the largest one to infinity.
    """
    is_nan, bits, dropped = x.isnan(), x.view(torch.int32), _MANTISSA_BITS - mantissa_bits
    bits.add_(((bits >> dropped) & 1) + ((1 << (dropped - 1)) - 1)).bitwise_and_(-1 << dropped)
    return x.masked_fill_(is_nan, math.nan)


def _steps(x: Tensor, to: FloatFormat) -> Tensor:
    """The distance between the numbers of the format around each value; a power of two, so dividing by it is exact."""
    power = (x.view(torch.int32) & _EXPONENT).view(torch.float32)
    return power.clamp_(min=math.ldexp(1.0, to.least_exponent)).mul_(math.ldexp(1.0, -to.mantissa_bits))


def _rounds_up(to: FloatFormat) -> bool:
    """The tie above the largest number goes to the next one, whose mantissa is even."""
    return to.specials == "inf"
