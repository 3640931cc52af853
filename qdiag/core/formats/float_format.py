"""Floating-point formats of 4 to 16 bits: what their bits mean, and every value that they hold.

Sources: OCP 8-bit Floating Point Specification (OFP8) v1.0, tables 1 and 2 (e4m3, e5m2); OCP Microscaling Formats (MX)
v1.0, section 5.3 (e2m1, e2m3, e3m2); IEEE 754-2019, table 3.5 (float16).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

ElementName = Literal["e2m1", "e2m3", "e3m2", "e4m3", "e5m2", "float16", "bfloat16"]
Specials = Literal["none", "nan", "inf"]
"""What the codes with the largest exponent are: all numbers; all numbers but one, NaN; infinity and NaN."""


@dataclass(frozen=True)
class FloatFormat:
    """A sign, an exponent and a mantissa; subnormals below the smallest normal number.

    A code with exponent field E and mantissa field m stands for `2^(E - bias) (1 + m / 2^mantissa_bits)`, and for
    `2^(1 - bias) m / 2^mantissa_bits` where E is 0. `bias` is `2^(exponent_bits - 1) - 1`.
    """

    name: ElementName
    exponent_bits: int
    mantissa_bits: int
    specials: Specials

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def least_exponent(self) -> int:
        """Of the smallest normal number."""
        return 2 - (1 << (self.exponent_bits - 1))

    @property
    def largest_exponent(self) -> int:
        """Of the largest number."""
        reserved = 1 if self.specials == "inf" else 0
        return (1 << (self.exponent_bits - 1)) - reserved

    @property
    def largest(self) -> float:
        """The largest number: 448 of e4m3, 57344 of e5m2, 6 of e2m1."""
        missing = 2 if self.specials == "nan" else 1
        return math.ldexp((2 << self.mantissa_bits) - missing, self.largest_exponent - self.mantissa_bits)

    @property
    def smallest(self) -> float:
        """The smallest number above zero, which is also the step around zero."""
        return math.ldexp(1.0, self.least_exponent - self.mantissa_bits)

    @property
    def overflow(self) -> float:
        """Half a step above the largest number: up to here values are rounded to it, beyond they overflow."""
        return self.largest + math.ldexp(0.5, self.largest_exponent - self.mantissa_bits)

    @cached_property
    def magnitudes(self) -> tuple[float, ...]:
        """Every number from 0 up, ascending."""
        found, index = [0.0], 1
        while found[-1] < self.largest:
            exponent, mantissa = divmod(index, 1 << self.mantissa_bits)
            hidden = (1 << self.mantissa_bits) if exponent else 0
            found.append(math.ldexp(hidden + mantissa, self.least_exponent - self.mantissa_bits + max(exponent - 1, 0)))
            index += 1
        return tuple(found)


_FORMATS = (
    FloatFormat("e2m1", 2, 1, "none"),
    FloatFormat("e2m3", 2, 3, "none"),
    FloatFormat("e3m2", 3, 2, "none"),
    FloatFormat("e4m3", 4, 3, "nan"),
    FloatFormat("e5m2", 5, 2, "inf"),
    FloatFormat("float16", 5, 10, "inf"),
    FloatFormat("bfloat16", 8, 7, "inf"),
)
FLOAT_FORMATS: Mapping[ElementName, FloatFormat] = {one.name: one for one in _FORMATS}

_USUAL: tuple[ElementName, ...] = ("e2m1", "e2m3", "e4m3", "float16")
USUAL_FORMATS: Mapping[int, FloatFormat] = {FLOAT_FORMATS[name].bits: FLOAT_FORMATS[name] for name in _USUAL}
"""The format that a number of bits stands for where none is named: the finest one of its width."""
