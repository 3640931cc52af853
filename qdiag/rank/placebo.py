"""Where a repair is tried although the finding is not there: the same size, other places, drawn at random."""

import random
from collections.abc import Sequence

from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.repair_traits import RepairTraits
from qdiag.core.graph import INPUT
from qdiag.simulate.case import Case


def placebo_sites(
    repair: RepairTraits, sites: Sequence[FindingSite], place: str, case: Case, *, taken: frozenset[str], seed: int
) -> tuple[FindingSite, ...]:
    """As many places of the same kind; empty when none is free.

    A repair of single channels is answered by other channels of the same layers, one of whole layers by other layers,
    fewer where there are not as many; neighbours of the finding last, since a repair there may reach it. One of the
    whole network has no other place.

    Args:
        place: `weight`, `output`, ... of the suspect.
        taken: layers with the finding, and those that its repair changed.
    """
    draw = random.Random(seed)
    if repair.placebo == "none":
        return ()
    if repair.placebo == "other channels" and all(site.channels or site.inputs for site in sites):
        drawn = [_other_channels(site, case, draw) for site in sites]
        return tuple(site for site in drawn if site is not None)
    free = [name for name in _layers_of(place, case) if name not in taken]
    free = [name for name in free if name not in _beside(taken, case)] or free
    chosen = draw.sample(free, min(len(free), len(sites)))
    return tuple(FindingSite(name) for name in sorted(chosen, key=free.index))


def shares_layers(repair: RepairTraits, treated: Sequence[str], elsewhere: Sequence[str]) -> bool:
    """The placebo changed layers that the repair changed too, so it is none; other channels of a layer may be one."""
    return repair.placebo != "other channels" and not set(treated).isdisjoint(elsewhere)


def _beside(names: frozenset[str], case: Case) -> frozenset[str]:
    """What these layers read, and what reads them."""
    layers = case.network.graph.layers
    read = {source for layer in layers if layer.name in names for source in layer.inputs}
    return frozenset(read | {layer.name for layer in layers if not names.isdisjoint(layer.inputs)})


def _other_channels(site: FindingSite, case: Case, draw: random.Random) -> FindingSite | None:
    layer = case.network.graph.layer(site.layer)
    if layer.weight is None:
        return None
    shape, named = case.network.program.constants[layer.weight].shape, site.channels or site.inputs
    count = int(shape[layer.weight_axis] if site.channels else shape[1 - layer.weight_axis] * layer.groups)
    free = [c for c in range(count) if c not in named]
    if not free:
        return None
    drawn = tuple(sorted(draw.sample(free, min(len(free), len(named)))))
    return FindingSite(site.layer, drawn) if site.channels else FindingSite(site.layer, inputs=drawn)


def _layers_of(place: str, case: Case) -> list[str]:
    layers = [layer for layer in case.network.graph.layers if layer.kind != INPUT]
    if place in ("weight", "sum"):
        return [layer.name for layer in layers if layer.weight is not None]
    plans = case.plan.layers
    return [x.name for x in layers if plans[x.name].output is not None and plans[x.name].shared_with is None]
