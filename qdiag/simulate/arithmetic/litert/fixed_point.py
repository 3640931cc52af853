"""Multiplication by a real number as kernels without floating point do it: by an integer of 31 bits, and a shift.

Source: Jacob et al., arXiv 1712.05877, section 2.2, and gemmlowp's `fixedpoint`. Kernels differ in how often they
round, and in which direction halves go.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_HALF = 1 << 30


@dataclass(frozen=True)
class Multiplier:
    """`mantissa 2^(shift - 31)`.

    Attributes:
        mantissa: int64, from 2^30 to 2^31 - 1. shift: int64, the same shape; positive to the left.
    """

    mantissa: Tensor
    shift: Tensor

    @classmethod
    def of(cls, real: Tensor) -> "Multiplier":
        """That of a positive number; the mantissa is rounded to the nearest, halves up.

        Args:
            real: float64.
        """
        fraction, exponent = torch.frexp(real.double())
        mantissa = torch.floor(fraction * 2.0**31 + 0.5).to(torch.int64)
        shift = exponent.to(torch.int64)
        is_over = mantissa == 1 << 31
        mantissa, shift = torch.where(is_over, mantissa // 2, mantissa), shift + is_over.to(torch.int64)
        is_nothing = shift < -31
        return cls(torch.where(is_nothing, 0, mantissa), torch.where(is_nothing, 0, shift))

    def to(self, device: torch.device) -> "Multiplier":
        """The same on a device."""
        return Multiplier(self.mantissa.to(device), self.shift.to(device))

    def shared_by(self, count: int) -> "Multiplier":
        """A `count`-th of it, cut off after the mantissa was shifted to the left as far as `count` allows."""
        more = min(count.bit_length() - 1, 32, 31 + int(self.shift))
        return Multiplier((self.mantissa << more) // count, self.shift - more)


Scaled = Callable[[Tensor, Multiplier], Tensor]
"""int64 sums times a multiplier that broadcasts with them, int64."""


def twice_rounded(total: Tensor, by: Multiplier) -> Tensor:
    """The upper half of twice the product, rounded to the nearest, and that once more by the shift.

    Halves go away from 0 the second time.
    """
    product = (total << by.shift.clamp(min=0)) * by.mantissa
    nudged = product + torch.where(product >= 0, _HALF, 1 - _HALF)
    high = torch.div(nudged, 1 << 31, rounding_mode="trunc")
    right = (-by.shift).clamp(min=0)
    mask = (torch.ones_like(right) << right) - 1
    threshold = (mask >> 1) + (high < 0).to(torch.int64)
    return (high >> right) + ((high & mask) > threshold).to(torch.int64)


def rounded_up_twice(total: Tensor, by: Multiplier) -> Tensor:
    """The same with halves up both times."""
    high = ((total << by.shift.clamp(min=0)) * by.mantissa + _HALF) >> 31
    right = (-by.shift).clamp(min=0)
    return (high + ((torch.ones_like(right) << right) >> 1)) >> right


def cut_off(total: Tensor, by: Multiplier) -> Tensor:
    """The upper half of twice the product, halves up, and that cut off by the shift."""
    high = ((total << by.shift.clamp(min=0)) * by.mantissa + _HALF) >> 31
    return high >> (-by.shift).clamp(min=0)


def once_rounded(total: Tensor, by: Multiplier) -> Tensor:
    """The whole product, rounded once, halves up."""
    right = 31 - by.shift
    return (total * by.mantissa + (torch.ones_like(right) << (right - 1))) >> right


def by_15_bits(total: Tensor, by: Multiplier) -> Tensor:
    """The product with a mantissa of 15 bits, rounded once, halves up: what kernels do with sums of 64 bits."""
    largest = 0x7FFF
    mantissa = torch.where(by.mantissa < largest << 16, (by.mantissa + (1 << 15)) >> 16, largest)
    right = 15 - by.shift
    return (total * mantissa + (torch.ones_like(right) << (right - 1))) >> right


def doubled_high(one: Tensor, other: Tensor | int) -> Tensor:
    """The upper half of twice the product of two numbers of 31 bits, rounded to the nearest (int64)."""
    product = one * other
    return torch.div(product + torch.where(product >= 0, _HALF, 1 - _HALF), 1 << 31, rounding_mode="trunc")


def shifted_down(x: Tensor, bits: Tensor | int) -> Tensor:
    """`x / 2^bits`, halves away from 0 (int64)."""
    bits = torch.as_tensor(bits)
    mask = (torch.ones_like(bits) << bits) - 1
    return (x >> bits) + ((x & mask) > (mask >> 1) + (x < 0).to(torch.int64)).to(torch.int64)
