"""Pairs of neighbouring weights whose products with bytes can leave int16.

A row of a matrix product holds what one output position adds up, place by place of the kernel, channels innermost; each
group has a product of its own, and the first and second value of a row are a pair, the third and fourth, and so on.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1
_BYTE_MAX = 255.0


@dataclass(frozen=True, eq=False)
class WeightPairs:
    """Those pairs of a layer that some input can drive out of int16.

    Attributes:
        filters: (M,) output channels. sources: (2, M) channels of the input. places: (2, M) of the kernel, counted row
            by row. weights: (2, M), both of one sign: products of activations, which are not negative, cancel out
            otherwise.
    """

    filters: Tensor
    sources: Tensor
    places: Tensor
    weights: Tensor

    def can_leave(self, largest: float) -> bool:
        """Activations from 0 to the largest one can drive some pair out."""
        return self._largest_sum * largest > INT16_MAX

    @cached_property
    def _largest_sum(self) -> float:
        return float(self.weights.sum(0).abs().max()) if self.weights.numel() else 0.0

    def leaving(self, largest: Tensor) -> Tensor:
        """(..., M): which of them activations from 0 to the largest ones of their channels, (..., C), can drive out."""
        left, right = (self.weights[i].abs() * largest[..., self.sources[i]] for i in (0, 1))
        return left.add_(right) > INT16_MAX

    def some(self, chosen: Tensor | slice) -> "WeightPairs":
        """Some of them."""
        return WeightPairs(
            self.filters[chosen], self.sources[:, chosen], self.places[:, chosen], self.weights[:, chosen]
        )


def weight_pairs(weight: Tensor, groups: int, is_transposed: bool) -> WeightPairs:
    """The pairs of a weight, integers as they are stored, in the shape of the weight.

    Args:
        is_transposed: the weight has the input channels first, as that of a transposed convolution.
    """
    rows = _rows(weight, groups, is_transposed)
    filter_count, width = rows.shape[1], weight.shape[0] // groups if is_transposed else weight.shape[1]
    even, odd = rows[:, :, : rows.shape[2] // 2 * 2 : 2], rows[:, :, 1::2]
    can_leave = ((even + odd).abs_() > INT16_MAX / _BYTE_MAX) & (even * odd > 0)
    group, row, pair = can_leave.nonzero(as_tuple=True)
    at = torch.stack([2 * pair, 2 * pair + 1])
    places = at // width
    return WeightPairs(
        filters=group * filter_count + row,
        sources=at - places * width + group * width,
        places=places,
        weights=torch.stack([even[group, row, pair], odd[group, row, pair]]),
    )


def _rows(weight: Tensor, groups: int, is_transposed: bool) -> Tensor:
    """(groups, output channels of one, K), input channels innermost."""
    parts = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    return parts.permute(0, 2, 3, 1).flatten(2) if is_transposed else parts.transpose(2, 3).flatten(2)
