"""`absorb_identity`: an input channel whose weights stand out is scaled up before the layer, and its weights down.

Where the branches of a block are one convolution, the identity's BatchNorm is alpha_c at [c, c, middle] of its weights.
Alpha is huge where the variance of input channel c is tiny (692 and 1477 in arXiv 2212.01593): the values of that
channel are far smaller than those beside it, so there is room to write them larger. The layer before gives k x_c in
place of x_c, and the weights of channel c become W_c / k: the float network stays.

Equalization (arXiv 1906.04721) trades ranges against each other. Here none grows: k is the smallest of what the weights
of the channel need to come down to twice the median channel, of the room between x_c and the range of the layer before
on the calibration data, and, where its weights share one scale, of the room between its row c and the widest row.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from qdiag.core.causes.findings import FindingSite
from qdiag.core.measures.ranges import ChannelRanges
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.equalization.equalize import scaled_pair
from qdiag.repairs.equalization.pairs import Pair, Pairs, find_pairs
from qdiag.repairs.equalization.scales import extremes, magnitudes, smallest_scales
from qdiag.repairs.stale import without_stale_edits
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_tensors

_STANDS_OUT = 2.0
"""Largest weight of an input channel over that of the median one: one bit."""
_MOVES = 1e-3
"""Factors closer to 1 than this are no change."""


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """At the layers of the sites, at their channels where they name some; at all layers where there are none.

    Raises:
        RepairRefused: nothing stands out there, the layer before cannot be scaled, or there is no room.
    """
    pairs = find_pairs(case, context.spared)
    changed: dict[str, Tensor] = {}
    layers: dict[str, None] = {}
    reasons: dict[str, str] = {}
    for pair, channels in _chosen(case, pairs, sites, reasons):
        constants = {**case.program.constants, **changed}
        scale = 1.0 / _factors(case, pair, constants, channels)
        if float((scale - 1.0).abs().max()) <= _MOVES:
            reasons[pair.second_layer.name] = "no input channel stands out that the layer before has room for"
            continue
        changed |= scaled_pair(pair, scale, constants)
        layers |= dict.fromkeys((pair.first_layer.name, pair.second_layer.name))
    if not changed:
        for name, reason in reasons.items():
            raise RepairRefused(reason, at=name)
        raise RepairRefused("no layer with weights reads one that could be scaled")
    names = case.program.parameter_names
    changes = {names[key]: value for key, value in changed.items()}
    treated = with_tensors(context.session, without_stale_edits(case, tuple(layers)), changes, recalibrate=True)
    return Treatment(treated, tuple(layers), moves_float=True, tensors=changes)


def _chosen(
    case: Case, pairs: Pairs, sites: Sequence[FindingSite], reasons: dict[str, str]
) -> list[tuple[Pair, tuple[int, ...]]]:
    """The pairs that end in a layer of the sites, and the channels to look at; without channels all of them."""
    by_second = {pair.second_layer.name: pair for pair in pairs.found}
    if not sites:
        return [(pair, ()) for pair in pairs.found]
    found = []
    for site in sites:
        if site.layer in by_second:
            found.append((by_second[site.layer], site.inputs or site.channels))
        else:
            why = _why_not(case, pairs, site.layer) or "there is none with weights"
            reasons[site.layer] = f"the layer before it cannot be scaled: {why}"
    return found


def _why_not(case: Case, pairs: Pairs, name: str) -> str | None:
    """Why the nearest layer with weights before this one cannot be scaled, as far as that is known."""
    inputs = {layer.name: layer.inputs for layer in case.network.graph.layers}
    seen, waiting = {name}, [name]
    while waiting:
        for before in inputs.get(waiting.pop(0), ()):
            if before in pairs.refused:
                return pairs.refused[before]
            if before not in seen:
                seen.add(before)
                waiting.append(before)
    return None


def _factors(case: Case, pair: Pair, constants: Mapping[str, Tensor], channels: Sequence[int]) -> Tensor:
    """k of every channel of the pair's first layer, (C,) in float64; 1 where nothing is to be done."""
    inputs = magnitudes(pair.second, constants).amax(1).flatten().view(pair.channels, pair.repeats).amax(1)
    alive = inputs[inputs > 0.0]
    if not len(alive):
        return torch.ones(pair.channels, dtype=torch.float64)
    factors = (inputs / (_STANDS_OUT * alive.median())).clamp(min=1.0)
    factors = torch.minimum(factors, _room(case, pair)).clamp(min=1.0)
    plan = case.plan.layers[pair.first_layer.name].weight
    if plan is not None and plan.granularity == "per_tensor":
        rows = magnitudes(pair.first, constants).amax(2).flatten()
        factors = torch.minimum(factors, torch.where(rows > 0.0, rows.max() / rows, 1.0))
    factors = torch.minimum(factors, 1.0 / smallest_scales(pair, case.observations)).clamp(min=1.0)
    if channels:
        named = torch.zeros(pair.channels, dtype=torch.bool)
        named[[c for c in channels if c < pair.channels]] = True
        factors = torch.where(named, factors, 1.0)
    return factors


def _room(case: Case, pair: Pair) -> Tensor:
    """How many times larger each channel may be without leaving the range of the first layer's output, (C,)."""
    seen = case.observations.get(pair.first_layer.name)
    room = torch.full((pair.channels,), torch.inf, dtype=torch.float64)
    channels: ChannelRanges | None = seen.channels if seen is not None else None
    for side in ("min", "max"):
        reach = extremes(channels, side, pair.channels)
        if reach is None:
            return torch.ones(pair.channels, dtype=torch.float64)
        end = reach.min() if side == "min" else reach.max()
        outward = reach < 0.0 if side == "min" else reach > 0.0
        room = torch.where(outward, torch.minimum(room, end / reach), room)
    return torch.where(room.isfinite(), room, 1.0)


ABSORB_IDENTITY = Repair("absorb_identity", _apply)
