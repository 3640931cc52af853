"""Weight and bias of a layer as the integers that a backend stores."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from qdiag.simulate.arithmetic.weight_pairs import WeightPairs, weight_pairs

HALF = 16.0
"""Weights are cut at this multiple, where the sums of whole ones would leave what float32 holds exactly."""


@dataclass(frozen=True, eq=False)
class IntegerWeights:
    """Integers, held in floating point, which is exact for them.

    Attributes:
        weight: less their zero point, float32, shape and layout of the weight.
        bias: (C,) at scale `scale_in * scale_w`, limited to the width of its integer, float64.
        axis: of the output channels in the weight. groups: that these are divided into.
        offset: what makes the weight the signed bytes that kernels read, to broadcast with it.
    """

    weight: Tensor
    bias: Tensor | None
    axis: int
    groups: int
    offset: Tensor

    @cached_property
    def largest_sum(self) -> float:
        """Largest sum of |weight| that one output channel adds up."""
        return self._largest_sum(self.weight)

    @cached_property
    def largest_sum_of_halves(self) -> float:
        """The same of the larger one of `halves`."""
        return max(map(self._largest_sum, self.halves))

    def _largest_sum(self, weight: Tensor) -> float:
        sums = self._channel_sums(weight)
        return float(sums.max()) if sums.numel() else 0.0

    def _channel_sums(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.axis, 0).flatten(1).abs().sum(1, dtype=torch.float64)

    def beyond(self, limit: float, largest: float) -> Tensor:
        """Output channels of which some sum, bias included, may reach a limit, given that of |x|."""
        sums = self._channel_sums(self.weight) * largest
        sums = sums.repeat(self.groups) if self.axis == 1 else sums
        return (sums if self.bias is None else sums + self.bias.abs()).ge(limit).nonzero().flatten()

    @cached_property
    def pairs(self) -> WeightPairs:
        """Neighbours whose products with bytes can leave int16."""
        return weight_pairs(self.weight + self.offset, self.groups, is_transposed=self.axis == 1)

    @cached_property
    def largest_bias(self) -> float:
        """Largest |bias|; 0 without one."""
        return float(self.bias.abs().max()) if self.bias is not None and self.bias.numel() else 0.0

    @cached_property
    def bias32(self) -> Tensor | None:
        """The bias in float32, which holds integers exactly up to 2^24."""
        return self.bias.float() if self.bias is not None else None

    @cached_property
    def halves(self) -> tuple[Tensor, Tensor]:
        """`weight = HALF * high + low`, |low| at most HALF / 2, whose sums stay smaller than those of the whole."""
        high = torch.round(self.weight / HALF)
        return high, self.weight - HALF * high

    @cached_property
    def weight64(self) -> Tensor:
        """The weight in float64."""
        return self.weight.double()
