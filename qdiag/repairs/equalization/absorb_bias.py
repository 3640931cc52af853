"""High-bias absorption: a constant that an activation never lets go of moves into the next layer's bias.

arXiv 1906.04721, section 4.2: where a channel's output is at least c > 0, ReLU(z) = ReLU(z - c) + c, so A's shift loses
c and B's bias gains W_B c. The paper takes c = max(0, beta - 3 gamma) for lack of data; here it is the smallest value
seen, so nothing changes on the calibration data.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from qdiag.repairs.equalization.pairs import Pair
from qdiag.repairs.equalization.scales import HEADROOM, extremes, smallest_scales
from qdiag.repairs.weighted_layer import WeightedLayer
from qdiag.simulate.calibrate import Observation


def absorbed(
    pairs: Sequence[Pair],
    scales: Sequence[Tensor],
    constants: Mapping[str, Tensor],
    observations: Mapping[str, Observation],
    headroom: float = HEADROOM,
) -> dict[str, Tensor]:
    """New tensors, by placeholder, in which what can be absorbed is; nothing is written to.

    Args:
        scales: what the outputs of each pair's first layer have been divided by since they were observed, (C,) each.
        constants: after that. headroom: see `smallest_scales`.
    """
    changed: dict[str, Tensor] = {}
    for pair, constant in zip(pairs, absorbed_constants(pairs, scales, observations, headroom), strict=True):
        source, target = _shift_of(pair.first), _sink_of(pair.second)
        if constant is None or source is None or target is None:
            continue
        values = {**constants, **changed}
        changed[source] = (values[source].double() - constant).to(values[source].dtype)
        weight = pair.second.grouped(values[pair.second.weight]).double().sum(3)
        inputs = constant.repeat_interleave(pair.repeats).view(weight.shape[0], 1, -1)
        moved = (weight * inputs).sum(2).flatten()
        # a running mean is taken away, a bias is added
        sign = -1.0 if target == pair.second.mean else 1.0
        values = {**constants, **changed}
        changed[target] = (values[target].double() + sign * moved).to(values[target].dtype)
    return changed


def absorbed_constants(
    pairs: Sequence[Pair],
    scales: Sequence[Tensor],
    observations: Mapping[str, Observation],
    headroom: float = HEADROOM,
) -> list[Tensor | None]:
    """What the outputs of each pair's first layer lose, (C,); None where nothing is absorbed. See `absorbed`."""
    found = list[Tensor | None]()
    for pair, scale in zip(pairs, scales, strict=True):
        constant = _constants(pair, observations, headroom)
        can_move = _shift_of(pair.first) is not None and _sink_of(pair.second) is not None
        found.append(constant / scale if constant is not None and can_move and bool((constant > 0.0).any()) else None)
    return found


def _constants(pair: Pair, observations: Mapping[str, Observation], headroom: float) -> Tensor | None:
    """The smallest value that each channel was seen to have, where positive, (C,); 0 for channels seen at a bound."""
    seen = observations.get(pair.first_layer.name)
    smallest = extremes(seen.channels, "min", pair.channels) if pair.passes_shift and seen is not None else None
    if smallest is None:
        return None
    is_inside = smallest_scales(pair, observations, headroom).isfinite()
    return torch.where(is_inside & smallest.isfinite(), smallest.clamp(min=0.0), 0.0)


def _shift_of(layer: WeightedLayer) -> str | None:
    """The tensor that is added to the layer's output."""
    return layer.beta if layer.norm is not None else layer.bias


def _sink_of(layer: WeightedLayer) -> str | None:
    """The tensor that takes a constant at the layer's own output, before its BatchNorm."""
    return layer.bias or layer.mean
