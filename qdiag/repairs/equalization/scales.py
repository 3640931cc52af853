"""Cross-layer equalization: one factor per channel that makes both layers' ranges alike.

arXiv 1906.04721, section 4.1 (and arXiv 1902.01917): with r the range of a channel's weights, BatchNorm folded, leaving
A and entering B, the factor

    s_c = sqrt(r_A,c r_B,c) / r_B,c = sqrt(r_A,c / r_B,c)

divides A's output channel c and multiplies B's input channel c; both ranges become sqrt(r_A,c r_B,c). In a chain the
pairs are taken in turn until nothing moves.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from qdiag.core.measures.ranges import ChannelRanges
from qdiag.repairs.equalization.pairs import Pair
from qdiag.repairs.weighted_layer import WeightedLayer
from qdiag.simulate.calibrate import Observation

SCALE_AT_MOST = 1024.0
"""Factors stay between this and its inverse: a channel that is almost nothing is not blown up without end."""
HEADROOM = 2.0
"""How many times as far out as on the calibration data values may lie before a bound changes them. Measured on a
MobileNetV1 with ReLU6, 100 images to calibrate, 200 and 300 others: with 1 the float output moved by up to 2e-2 of its
largest value and uint8 top-1 came within 10.0 points of float, with 2 by 7e-4 and within 11.3, with 3 by rounding alone
and within 13.3; untreated it is 67 points below.
"""
_SWEEPS_AT_MOST = 100
_MOVES = 1e-4
"""A sweep in which no |log s| is larger than this ends the search."""


def equalizing_scales(
    pairs: Sequence[Pair],
    constants: Mapping[str, Tensor],
    observations: Mapping[str, Observation],
    headroom: float = HEADROOM,
) -> list[Tensor]:
    """The factor s of every channel of every pair's first layer, (C,) each in float64; 1 where nothing can be done."""
    ranges: dict[str, Tensor] = {}
    for layer in [layer for pair in pairs for layer in (pair.first, pair.second)]:
        ranges.setdefault(layer.weight, magnitudes(layer, constants))
    lowest = [smallest_scales(pair, observations, headroom) for pair in pairs]
    scales = [torch.ones(pair.channels, dtype=torch.float64) for pair in pairs]
    for _ in range(_SWEEPS_AT_MOST):
        largest_step = 0.0
        for i, pair in enumerate(pairs):
            first, second = ranges[pair.first.weight], ranges[pair.second.weight]
            r_a = first.amax(2).flatten()
            r_b = second.amax(1).flatten().view(pair.channels, pair.repeats).amax(1)
            wished = scales[i] * (r_a / r_b).sqrt()
            allowed = wished.clamp(1.0 / SCALE_AT_MOST, SCALE_AT_MOST).maximum(lowest[i])
            is_free = (r_a > 0.0) & (r_b > 0.0) & wished.isfinite() & lowest[i].isfinite()
            step = torch.where(is_free, allowed, scales[i]) / scales[i]
            scales[i] = scales[i] * step
            first.div_(step.view(first.shape[0], -1, 1))
            second.mul_(step.repeat_interleave(pair.repeats).view(second.shape[0], 1, -1))
            largest_step = max(largest_step, float(step.log().abs().max()))
        if largest_step < _MOVES:
            break
    return scales


def smallest_scales(pair: Pair, observations: Mapping[str, Observation], headroom: float = HEADROOM) -> Tensor:
    """The smallest s of each channel at which no bound on the way is met, (C,) in float64; +inf where it must stay.

    clamp(z / s) s = clamp(z) for every z that stays inside the bounds and inside s times the bounds. Of a channel that
    was seen at a bound nobody knows what lies beyond, so it is left as it is.

    Args:
        headroom: values may lie this many times as far out as those that were seen.
    """
    lowest = torch.zeros(pair.channels, dtype=torch.float64)
    for layer in pair.clamps:
        assert layer.clamp is not None
        seen = observations.get(layer.name)
        channels = seen.channels if seen is not None else None
        for bound, side in zip(layer.clamp, ("min", "max"), strict=True):
            if bound == 0.0 or not math.isfinite(bound):
                continue
            reach = extremes(channels, side, pair.channels)
            if reach is None:
                return torch.full_like(lowest, math.inf)
            share = (reach / bound).clamp(min=0.0) * headroom
            lowest = lowest.maximum(torch.where(share < 1.0, share, math.inf))
    lowest[sorted(pair.kept)] = math.inf
    return lowest


def extremes(channels: ChannelRanges | None, side: str, count: int) -> Tensor | None:
    """Smallest or largest value seen per channel, (count,) in float64; None where that is not known."""
    if channels is None:
        return None
    values = torch.tensor(channels.min if side == "min" else channels.max, dtype=torch.float64)
    if values.numel() % count or not values.numel():
        return None
    runs = values.view(count, -1)
    return runs.amin(1) if side == "min" else runs.amax(1)


def scaled_weight(layer: WeightedLayer, weight: Tensor, *, outputs: Tensor | None, inputs: Tensor | None) -> Tensor:
    """The weight with its output channels times `outputs` and its input channels times `inputs`, (C,) each."""
    by_group = layer.grouped(weight).double()
    if outputs is not None:
        by_group = by_group * outputs.view(by_group.shape[0], -1, 1, 1)
    if inputs is not None:
        by_group = by_group * inputs.view(by_group.shape[0], 1, -1, 1)
    return layer.ungrouped(by_group, weight)


def magnitudes(layer: WeightedLayer, constants: Mapping[str, Tensor]) -> Tensor:
    """Largest |folded weight| over each kernel, (groups, outputs per group, inputs per group)."""
    largest = layer.grouped(constants[layer.weight]).abs().amax(3).double()
    gain = layer.gain(constants)
    return largest * (gain.abs().view(largest.shape[0], -1, 1) if isinstance(gain, Tensor) else gain)
