"""Integers that a kernel makes of integers without rounding: what is behind the point is cut off."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine

_NEARLY = 1e-3
"""Steps by which a sum in float32 may miss the integer that it is."""


@dataclass(frozen=True, eq=False)
class CutOff(Affine):
    """`q = trunc(x / scale + zero_point)`, as a conversion from float to an integer does it, towards 0; per tensor."""

    @cached_property
    def key(self) -> Hashable:
        return ("cut off", super().key)

    def quantize(self, x: Tensor) -> Tensor:
        """The integers; shape of x."""
        return super().quantize(self.fake_quantize(x))

    def fake_quantize_chunk(self, source: Tensor, target: Tensor) -> None:
        zero_point = float(self.zero_point)
        torch.div(source, float(self.scale), out=target)
        target.add_(zero_point)
        target.add_(torch.sign(target), alpha=_NEARLY).trunc_()
        target.clamp_(self.quant_min, self.quant_max).sub_(zero_point).mul_(float(self.scale))
