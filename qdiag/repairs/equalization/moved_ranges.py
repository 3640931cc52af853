"""Where values lie after equalization, from where they lay before: no pass over the data is needed.

Equalization divides each channel on the way between two layers by a factor, and absorption takes a constant away. On
the calibration data everything else stays as it is, up to rounding, because no bound is met there. The smallest and
the largest value of each channel were seen over all of its elements, so that what becomes of them is known.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from qdiag.calibrators.base import ActivationStatistics
from qdiag.core.graph import Layer
from qdiag.core.measures.ranges import ChannelRanges
from qdiag.repairs.equalization.pairs import Pair
from qdiag.simulate.calibrate import Observation, look_at
from qdiag.simulate.case import Case

_EXTREMES_ALONE = (False, None)
"""See `Look`: a calibrator that reads nothing but the smallest and the largest value."""


def moved_ranges(
    case: Case, pairs: Sequence[Pair], scales: Sequence[Tensor], constants: Sequence[Tensor | None]
) -> Mapping[str, Observation] | None:
    """What is seen on the calibration data after the change: of layers on the way of a pair anew, of others as before.

    Args:
        scales: what the outputs of each pair's first layer are divided by, (C,) each.
        constants: what they lose after that, (C,) each; None for nothing.

    Returns:
        None where that does not tell it: a calibrator reads more than extremes, or those of channels are not known.
    """
    found = dict(case.observations)
    for pair, scale, constant in zip(pairs, scales, constants, strict=True):
        if constant is None and bool((scale == 1.0).all()):
            continue
        sites = _way(case, pair)
        if sites is None:
            return None
        for site in sites:
            seen = found.get(site.name)
            moved = _moved(seen, scale, constant) if seen is not None else None
            if moved is None or look_at(case.scheme.activations_of(site.name)) != _EXTREMES_ALONE:
                return None
            found[site.name] = moved
    return found


def _way(case: Case, pair: Pair) -> list[Layer] | None:
    """The first layer, and all between it and the second one; None where that is no single way."""
    graph, sites = case.network.graph, [pair.first_layer]
    while (after := graph.consumers(sites[-1].name)) != (pair.second_layer,):
        if len(after) != 1 or after[0].inputs != (sites[-1].name,):
            return None
        sites.append(after[0])
    return sites


def _moved(seen: Observation, scale: Tensor, constant: Tensor | None) -> Observation | None:
    """Each channel divided and shifted; one that has a run of values for each channel, as those have."""
    channels = seen.channels
    if channels is None or not channels.min or len(channels.min) % scale.numel():
        return None
    ends = torch.tensor([channels.min, channels.max], dtype=torch.float64).view(2, scale.numel(), -1)
    ends = ends / scale.view(1, -1, 1)
    if constant is not None:
        ends = ends - constant.view(1, -1, 1)
    if not bool(ends.isfinite().all()):
        return None
    low, high = ends.flatten(1)
    whole = seen.statistics.range
    whole = replace(
        whole,
        sampled_count=0,
        min=float(low.min()),
        max=float(high.max()),
        mean=math.nan,
        std=math.nan,
        kurtosis=math.nan,
        zero_fraction=math.nan,
        percentiles=(),
        histogram=None,
    )
    unknown = (math.nan,) * low.numel()
    by_channel = ChannelRanges(
        channels.channel_axis, tuple(low.tolist()), tuple(high.tolist()), unknown, unknown, unknown, unknown
    )
    return replace(seen, statistics=ActivationStatistics(whole), channels=by_channel)
