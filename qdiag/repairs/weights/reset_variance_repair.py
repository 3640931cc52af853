"""`reset_variance_mean` and `reset_variance_constant`: the reset of `qdiag.repairs.weights.reset_variance`, on a case.

Any channels can be given, healthy ones too: there the repair does damage, and that is what a placebo is for.
"""

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.fix import Method
from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.edit import ChannelEdit, changed_tensors
from qdiag.repairs.scheme.stale import without_stale_edits
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_tensors


def reset_edits(
    record: BatchNormRecord, tensors: Mapping[str, Tensor], channels: Sequence[int], method: Method
) -> tuple[ChannelEdit, ...]:
    """The reset of some channels of one BatchNorm.

    Args:
        record: what the audit says about it: its dead channels take no part in the mean.
        tensors: those of the network, by name.
        channels: to be reset, dead or not.

    Raises:
        RepairRefused: the BatchNorm has no tensor that could be changed, or no other channel to learn from.
    """
    name = f"{record.name}.{'running_var' if method == 'mean' else 'weight'}".lstrip(".")
    if name not in tensors or tensors[name].shape != (record.channels,):
        hint = "use reset_variance_mean" if method == "constant" and not record.is_affine else None
        raise RepairRefused(f"the model stores no {name} of its own", at=record.name, hint=hint)
    if method == "constant":
        return tuple(ChannelEdit(record.name, c, {name: 0.0}) for c in channels)
    apart = {*channels, *record.dead_channels}
    variances = tensors[name].tolist()
    live = [variances[c] for c in range(record.channels) if c not in apart]
    if not live:
        raise RepairRefused(
            "no live channel is left to take the mean variance of", at=record.name, hint="use reset_variance_constant"
        )
    return tuple(ChannelEdit(record.name, c, {name: math.fsum(live) / len(live)}) for c in channels)


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext, method: Method) -> Treatment:
    if context.batchnorms is None or not context.batchnorms.records:
        raise RepairRefused("the model has no BatchNorm with statistics")
    tensors = case.tensors
    edits: list[ChannelEdit] = []
    stays = True
    wanted = _wanted(sites, dead_sites(case, context.batchnorms))
    for name, named in wanted.items():
        record = record_of(case, context.batchnorms, name)
        channels = tuple(c for c in named if c not in context.spared.get(name, frozenset()))
        edits += reset_edits(record, tensors, channels, method)
        stays = stays and set(channels) <= set(record.dead_channels)
    if not edits:
        raise RepairRefused("no BatchNorm there has a dead channel")
    changes = changed_tensors(tensors, edits)
    # a dead channel gives its constant as before; any other one moves, and its range with it
    kept = without_stale_edits(case, wanted)
    treated = with_tensors(context.session, kept, changes, recalibrate=not stays)
    return Treatment(treated, tuple(wanted), moves_float=True, tensors=changes)


def record_of(case: Case, audit: BatchNormAudit, layer_name: str) -> BatchNormRecord:
    """The BatchNorm whose channels are the output channels of a layer.

    Raises:
        RepairRefused: there is none, or it keeps no statistics.
    """
    try:
        layer = case.network.graph.layer(layer_name)
    except KeyError:
        raise RepairRefused("no layer has this name", at=layer_name) from None
    for record in audit.records:
        pair = record.layer
        if pair is None or pair.direction.startswith("bn") or not record.variance:
            continue
        if layer.weight_name is not None and pair.weight_name == layer.weight_name:
            return record
    raise RepairRefused("no BatchNorm with statistics follows this layer", at=layer_name)


def _wanted(sites: Sequence[FindingSite], dead: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Layer name to all channels that the sites name there; of a layer named as a whole the dead ones, if any are."""
    found: dict[str, tuple[int, ...]] = {} if sites else dict(dead)
    for site in sites:
        channels = site.channels or dead.get(site.layer, ())
        if channels:
            found[site.layer] = tuple(dict.fromkeys((*found.get(site.layer, ()), *channels)))
    return found


def dead_sites(case: Case, audit: BatchNormAudit) -> dict[str, tuple[int, ...]]:
    """Every layer before a BatchNorm with dead channels, by name, with these channels."""
    records = [r for r in audit.records if r.layer is not None and not r.layer.direction.startswith("bn")]
    dead = {r.layer.weight_name: r.dead_channels for r in records if r.layer is not None and r.dead}
    layers = [layer for layer in case.network.graph.layers if layer.weight_name in dead]
    return {layer.name: dead[layer.weight_name] for layer in layers if layer.weight_name is not None}


def _mean(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    return _apply(case, sites, context, "mean")


def _constant(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    return _apply(case, sites, context, "constant")


RESET_VARIANCE_MEAN = Repair("reset_variance_mean", _mean)
RESET_VARIANCE_CONSTANT = Repair("reset_variance_constant", _constant)
