"""Powers of two: products become shifts, and small values keep the relative precision of large ones.

Source: LogQuant of arXiv 1603.01025, section 3: `clip(2^round(log2 |x|)) * sign(x)`, and 0 below the smallest level.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.scheme import TensorScheme
from qdiag.errors import CalibrationError
from qdiag.numerics.quantizers.base import Quantizer

_LEAST, _MOST = -125, 127
"""Exponents of float32, one above the least normal one, so that a value below the smallest level is never subnormal."""
_UP = 0x00800000 - 0x003504F4
"""Added to the bits of a float32, it carries into the exponent from the first mantissa above sqrt(2) on."""
_SIGN_AND_EXPONENT = -0x00800000


@dataclass(frozen=True, eq=False)
class PowerOfTwo(Quantizer):
    """Levels `0` and `+-2^e` for the `magnitude_count` exponents e up to `exponent`.

    One of the codes of `bits` bits is 0. With a sign, which takes a bit, 2^(bits - 1) - 1 magnitudes remain, without
    one 2^bits - 1; none lies below 2^-125, the end of float32. log2 |x| is rounded to the nearest whole number, so that
    the border between 2^e and 2^(e + 1) is 2^(e + 1/2). No float lies on it, and there are no ties.

    Attributes:
        exponent: the largest, whole numbers in float32, shape () per tensor, (C,) per channel, (C, G) per group.
        has_sign: otherwise values below zero become 0.
        channel_axis: axis of C; None per tensor.
        group_size: weights per group, along the flattened rest of a channel; None otherwise.
    """

    exponent: Tensor
    bits: int
    has_sign: bool
    channel_axis: int | None = None
    group_size: int | None = None

    @classmethod
    def from_range(
        cls, low: Tensor, high: Tensor, scheme: TensorScheme, *, channel_axis: int | None = None
    ) -> "PowerOfTwo":
        """The largest exponent is that of the largest |x| of the range, log2 rounded; 0 for a range of width zero.

        A scheme that is signed spends a bit on the sign. One that is not symmetric, and has no zero point here, spends
        it where the range reaches below zero. One that is symmetric and unsigned never does.
        """
        if not bool((torch.isfinite(low) & torch.isfinite(high)).all()):
            raise CalibrationError("the range is not finite")
        has_sign = scheme.signed or (not scheme.symmetric and bool((low < 0.0).any()))
        largest = torch.maximum(-low, high) if has_sign else high
        exponent = largest.double().log2().round().clamp(_LEAST, _MOST)
        exponent = torch.where(largest > 0.0, exponent, 0.0).float()
        return cls(exponent, scheme.bits, has_sign, channel_axis, scheme.group_size)

    @property
    def magnitude_count(self) -> int:
        return (1 << (self.bits - 1 if self.has_sign else self.bits)) - 1

    @cached_property
    def key(self) -> Hashable:
        exponents = tuple(self.exponent.flatten().tolist())
        return ("power_of_two", exponents, self.bits, self.has_sign, self.channel_axis, self.group_size)

    def fake_quantize_chunk(self, source: Tensor, target: Tensor) -> None:
        if target.dtype != torch.float32:
            target.copy_(self._rounded(source.float()))
            return
        smallest, largest = self._ends
        is_nan = source.isnan()
        torch.clamp(source, -largest if self.has_sign else 0.0, largest, out=target)
        target.view(torch.int32).add_(_UP).bitwise_and_(_SIGN_AND_EXPONENT)
        torch.hardshrink(target, smallest / 2.0, out=target)
        target.masked_fill_(is_nan, math.nan)

    def fake_quantize_units(self, units: Tensor) -> Tensor:
        return self._rounded(units.float())

    def _rounded(self, units: Tensor) -> Tensor:
        exponent = self.per_unit(self.exponent, units.ndim).double()
        largest = torch.exp2(exponent).float()
        smallest = torch.exp2((exponent - self.magnitude_count + 1).clamp(min=_LEAST)).float()
        rounded = torch.clamp(units, -largest if self.has_sign else torch.zeros_like(largest), largest)
        rounded.view(torch.int32).add_(_UP).bitwise_and_(_SIGN_AND_EXPONENT)
        rounded.masked_fill_(rounded.abs() < smallest, 0.0)
        return rounded.masked_fill_(units.isnan(), math.nan)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """Smallest and largest magnitude; of the widest channel or group."""
        most = int(self.exponent.max())
        return math.ldexp(1.0, max(most - self.magnitude_count + 1, _LEAST)), math.ldexp(1.0, most)

    @property
    def clip_bounds(self) -> tuple[float, float]:
        smallest, largest = self._ends
        return -(largest * math.sqrt(2.0) if self.has_sign else smallest / math.sqrt(2.0)), largest * math.sqrt(2.0)

    def record(self) -> QuantizerRecord:
        smallest, largest = self._ends
        above = [math.ldexp(smallest, k) for k in range(round(math.log2(largest / smallest)) + 1)]
        edges = [level / math.sqrt(2.0) for level in above]
        edges.append(largest * math.sqrt(2.0))
        below = [-level for level in reversed(above)] if self.has_sign else []
        return QuantizerRecord(
            *(self.bits, self.has_sign, None, None, None, None, -largest if self.has_sign else 0.0, largest),
            type="power_of_two",
            levels=(*below, 0.0, *above),
            edges=(*(-edge for edge in (reversed(edges) if self.has_sign else edges[:1])), *edges),
        )

    def scale_bytes(self, shape: Sequence[int]) -> int:
        """The largest exponent of each, in one byte."""
        return self.exponent.numel()

    def to(self, device: torch.device) -> "PowerOfTwo":
        return PowerOfTwo(self.exponent.to(device), self.bits, self.has_sign, self.channel_axis, self.group_size)
