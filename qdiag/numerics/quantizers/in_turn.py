"""Values that are quantized more than once before anything reads them."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from qdiag.numerics.quantizers.affine import Affine


@dataclass(frozen=True, eq=False)
class InTurn(Affine):
    """The integers of the last quantizer, after the values went through the ones before it; per tensor.

    Attributes:
        before: the others, the first one first.
    """

    before: tuple[Affine, ...] = ()

    @classmethod
    def of(cls, quantizers: Sequence[Affine]) -> Affine:
        """One quantizer that does what all of them do one after the other."""
        *before, last = quantizers
        if not before:
            return last
        numbers = (last.scale, last.zero_point, last.quant_min, last.quant_max, last.channel_axis)
        return cls(*numbers, is_symmetric=last.is_symmetric, before=tuple(before))

    @cached_property
    def last(self) -> Affine:
        """The one that gives the integers."""
        return Affine(self.scale, self.zero_point, self.quant_min, self.quant_max, is_symmetric=self.is_symmetric)

    @cached_property
    def key(self) -> Hashable:
        return ("in turn", *(one.key for one in self.before), self.last.key)

    def quantize(self, x: Tensor) -> Tensor:
        """The integers of the last one; shape of x."""
        for one in self.before:
            x = one.fake_quantize(x)
        return super().quantize(x)

    def fake_quantize_chunk(self, source: Tensor, target: Tensor) -> None:
        for one in self.before:
            one.fake_quantize_chunk(source, target)
            source = target
        super().fake_quantize_chunk(source, target)

    @property
    def clip_bounds(self) -> tuple[float, float]:
        bounds = [super().clip_bounds, *(one.clip_bounds for one in self.before)]
        return max(low for low, _ in bounds), min(high for _, high in bounds)

    def to(self, device: torch.device) -> "InTurn":
        return replace(
            self,
            scale=self.scale.to(device),
            zero_point=self.zero_point.to(device),
            before=tuple(one.to(device) for one in self.before),
        )
