"""Pairs of neighbouring weights whose products with bytes can leave int16, by where they lie in a kernel.

A row of a matrix product holds what one output position adds up, place by place of the kernel, channels innermost; each
group has a product of its own, and the first and second value of a row are a pair, the third and fourth, and so on.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1
_BYTE_MAX = 255.0


@dataclass(frozen=True)
class Taps:
    """Pairs of one sign, whose weights lie at the same two places of the kernel.

    Attributes:
        both: the two places, counted row by row.
        end: of these pairs among all, which begin where the ones before end.
    """

    both: tuple[int, int]
    is_negative: bool
    end: int


@dataclass(frozen=True, eq=False)
class WeightPairs:
    """Those pairs of a layer that some input can drive out of int16.

    Attributes:
        filters: (M,) output channels. sources: (2, M) channels of the input. weights: (2, M), without their sign,
            which both have in common: products of activations, which are not negative, cancel out otherwise.
        taps: of the pairs, in their order.
    """

    filters: Tensor
    sources: Tensor
    weights: Tensor
    taps: tuple[Taps, ...]

    def can_leave(self, largest: float) -> bool:
        """Activations from 0 to the largest one can drive some pair out."""
        return bool((self.weights.sum(0) * largest > INT16_MAX).any())


def weight_pairs(weight: Tensor, groups: int, is_transposed: bool) -> WeightPairs:
    """The pairs of a weight, integers as they are stored, in the shape of the weight.

    Args:
        is_transposed: the weight has the input channels first, as that of a transposed convolution.
    """
    rows = _rows(weight, groups, is_transposed)
    filter_count, width = rows.shape[1], weight.shape[0] // groups if is_transposed else weight.shape[1]
    even, odd = rows[:, :, : rows.shape[2] // 2 * 2 : 2], rows[:, :, 1::2]
    both = even + odd
    can_leave = (even * odd > 0) & (both.abs() * _BYTE_MAX > INT16_MAX)
    group, row, pair = can_leave.nonzero(as_tuple=True)
    places = torch.stack([2 * pair, 2 * pair + 1])
    at, channels = places // width, places % width
    is_negative = both[group, row, pair] < 0
    kind, order = (2 * (at[0] + at[1]) + is_negative).sort(stable=True)  # neighbours, so their sum tells both
    group, row, pair = group[order], row[order], pair[order]
    kinds, counts = torch.unique(kind, return_counts=True)
    return WeightPairs(
        filters=group * filter_count + row,
        sources=channels[:, order] + group * width,
        weights=torch.stack([even[group, row, pair], odd[group, row, pair]]).abs(),
        taps=tuple(
            Taps((one // 4, (one // 2 + 1) // 2), bool(one % 2), end)
            for one, end in zip(kinds.tolist(), counts.cumsum(0).tolist(), strict=True)
        ),
    )


def _rows(weight: Tensor, groups: int, is_transposed: bool) -> Tensor:
    """(groups, output channels of one, K), input channels innermost."""
    parts = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    return parts.permute(0, 2, 3, 1).flatten(2) if is_transposed else parts.transpose(2, 3).flatten(2)
