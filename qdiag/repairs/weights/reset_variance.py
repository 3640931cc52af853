"""A dead BatchNorm channel gets a gain that no longer stretches the folded weight. No data are needed.

What stays: the channel's output. Its input is a constant, c, and while it is, the running mean approaches c as the
running variance approaches zero: with momentum m, (c - mean)^2 falls as (1 - m)^(2t), the variance as (1 - m)^t. So
c - mean is far below sqrt(variance) by the time the variance is far below eps, and the output beta + gain (c - mean) is
beta whatever the gain. Data can disagree (dead in training, alive elsewhere), so callers measure what moved.

`mean` (arXiv 1803.08607, section 3.1): the variance becomes the mean variance of the layer's live channels. The folded
weight keeps its direction and gets the size that the other channels have; training can go on from there.

`constant`: gamma becomes 0. Folding gives W' = 0 and b' = beta - 0 mean = beta, which is the constant, exactly and
after any quantization of the weight. beta is right already and is not written. The channel can learn nothing more than
its constant unless gamma is trained again.

On a case any channels can be given, healthy ones too: there the repair does damage, and that is what a placebo is for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.repair import ChannelFix, LayerFix
from qdiag.core.causes.repair_traits import TRAITS, Method
from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Apply, Repair, RepairContext, Treatment
from qdiag.repairs.edit import ChannelEdit, changed_tensors
from qdiag.repairs.stale import without_stale_edits
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_tensors


@dataclass(frozen=True)
class Proposal:
    """What would be done to one BatchNorm: a row for every channel, an edit for each that is not refused.

    Attributes:
        refusal: why no channel of it can be repaired, and the method that could; None when they can.
    """

    fix: LayerFix
    edits: tuple[ChannelEdit, ...]
    refusal: tuple[str, Method | None] | None


def propose(
    record: BatchNormRecord, tensors: Mapping[str, Tensor], method: Method, channels: Sequence[int]
) -> Proposal:
    """The reset of some channels of one BatchNorm.

    Args:
        record: what the audit says about it: its dead channels take no part in the mean.
        tensors: those of the network, by name; they are left as they are.
        channels: to be reset, dead or not.
    """
    names = record.tensor_names
    changed_name = names.variance if method == "mean" else names.gamma
    apart = {*channels, *record.dead_channels}
    live = [record.variance[c] for c in range(record.channels) if c not in apart]
    refusal = _refusal(record, tensors, changed_name, method, bool(live))
    mean = math.fsum(live) / len(live) if live else math.nan
    gamma, beta = (tensors[name].detach() if name in tensors else None for name in (names.gamma, names.beta))
    rows, edits = [], []
    for c in sorted(channels):
        g = 1.0 if gamma is None else float(gamma[c])
        reason = None if refusal is None else f"{refusal[0]}{f': use the method {refusal[1]}' if refusal[1] else ''}"
        if reason is None and method == "constant" and g == 0.0:
            reason = "gamma is zero already: the channel folds to nothing"
        variance, gain = record.variance[c], record.gain[c]
        if reason is None:
            edits.append(ChannelEdit(record.name, c, {changed_name: mean if method == "mean" else 0.0}))
            variance = mean if method == "mean" else variance
            gain = g / math.sqrt(mean + record.eps) if method == "mean" else 0.0
        folded = record.folded_max_abs[c] if record.folded_max_abs else math.nan
        folded_after = folded * abs(gain / record.gain[c]) if record.gain[c] else folded
        constant = 0.0 if beta is None else float(beta[c])
        before = record.variance[c], record.gain[c]
        rows.append(ChannelFix(c, before[0], variance, before[1], gain, constant, folded, folded_after, reason))
    return Proposal(layer_fix(record, rows), tuple(edits), refusal)


def layer_fix(record: BatchNormRecord, rows: Sequence[ChannelFix]) -> LayerFix:
    """The rows with what they do to the layer as a whole."""
    gain, folded = list(map(abs, record.gain)), list(record.folded_max_abs)
    for row in rows:
        gain[row.channel] = abs(row.gain_after)
        if folded:
            folded[row.channel] = row.folded_max_abs_after
    return LayerFix(
        name=record.name,
        folds_into=record.layer.name if record.layer is not None else None,
        channel_count=record.channels,
        channels=tuple(rows),
        gain_max_abs_before=record.gain_max_abs,
        gain_max_abs_after=max(gain),
        folded_max_abs_before=max(record.folded_max_abs, default=math.nan),
        folded_max_abs_after=max(folded, default=math.nan),
    )


def without_channels(
    fixes: Sequence[LayerFix], audit: BatchNormAudit, reasons: Mapping[tuple[str, int], str]
) -> tuple[LayerFix, ...]:
    """The rows of some channels, by BatchNorm and number, put back to what they were, each with the reason."""
    records = {record.name: record for record in audit.records}

    def put_back(row: ChannelFix, reason: str) -> ChannelFix:
        kept = {"variance": row.variance_before, "gain": row.gain_before, "folded_max_abs": row.folded_max_abs_before}
        return replace(row, refused=reason, **{f"{name}_after": value for name, value in kept.items()})  # type: ignore[arg-type]

    found = []
    for fix in fixes:
        refused = {row.channel: reasons.get((fix.name, row.channel)) for row in fix.channels}
        rows = [put_back(row, reason) if (reason := refused[row.channel]) else row for row in fix.channels]
        found.append(layer_fix(records[fix.name], rows) if any(refused.values()) else fix)
    return tuple(found)


def _refusal(
    record: BatchNormRecord, tensors: Mapping[str, Tensor], changed: str, method: Method, has_live: bool
) -> tuple[str, Method | None] | None:
    if method == "constant" and not record.is_affine:
        return f"the model stores no {changed} of its own that could be zero", "mean"
    if changed not in tensors or tensors[changed].shape != (record.channels,):
        what = changed or f"{'variance' if method == 'mean' else 'gamma'} of {record.name or 'this BatchNorm'}"
        return f"the model stores no {what} of its own", None
    if method == "mean" and not has_live:
        return "no live channel is left to take the mean variance of", "constant"
    return None


def _by(method: Method) -> Apply:
    def apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
        if context.batchnorms is None or not context.batchnorms.records:
            raise RepairRefused("the model has no BatchNorm with statistics")
        wanted = _wanted(case, context, sites)
        tensors = case.tensors
        found = [propose(record, tensors, method, channels) for _, record, channels in wanted]
        edits = tuple(edit for proposal in found for edit in proposal.edits)
        if not edits:
            raise _refused(found)
        places = zip(wanted, found, strict=True)
        layers = tuple(dict.fromkeys(layer for (layer, _, _), proposal in places if proposal.edits))
        changes = changed_tensors(tensors, edits)
        # a dead channel gives its constant as before; any other one moves, and its range with it
        stays = all(set(channels) <= set(record.dead_channels) for _, record, channels in wanted)
        kept = without_stale_edits(case, layers)
        treated = with_tensors(context.session, kept, changes, recalibrate=not stays)
        rows = tuple(proposal.fix for proposal in found)
        return Treatment(treated, layers, moves_float=True, tensors=changes, edits=edits, batchnorms=rows)

    return apply


def _refused(proposals: Sequence[Proposal]) -> RepairRefused:
    for proposal in proposals:
        if proposal.refusal is not None:
            reason, method = proposal.refusal
            names = [traits.name for traits in TRAITS.values() if traits.fix_bn_method == method]
            return RepairRefused(reason, at=proposal.fix.name, hint=f"use {names[0]}" if method else None)
        return RepairRefused(proposal.fix.channels[0].refused or "", at=proposal.fix.name)
    return RepairRefused("no BatchNorm there has a dead channel")


def _wanted(
    case: Case, context: RepairContext, sites: Sequence[FindingSite]
) -> list[tuple[str, BatchNormRecord, tuple[int, ...]]]:
    """Layer, BatchNorm and channels to be reset: all that the sites name, or the dead ones of a layer named whole."""
    assert context.batchnorms is not None
    found: dict[tuple[str, str], tuple[BatchNormRecord, dict[int, None]]] = {}
    dead = _dead_places(case, context.batchnorms)
    for site in sites or [FindingSite(name) for name in dead]:
        named = site.channels or site.inputs
        is_norm_first = bool(site.inputs)
        record = record_of(case, context.batchnorms, site.layer, is_norm_first) if named else dead.get(site.layer)
        if record is not None:
            spared = () if is_norm_first else context.spared.get(site.layer, frozenset())
            wanted = [c for c in named or record.dead_channels if c not in spared]
            _, channels = found.setdefault((site.layer, record.name), (record, {}))
            channels.update(dict.fromkeys(wanted))
    return [(layer, record, tuple(channels)) for (layer, _), (record, channels) in found.items() if channels]


def record_of(case: Case, audit: BatchNormAudit, name: str, is_norm_first: bool = False) -> BatchNormRecord:
    """The BatchNorm whose channels are the output channels of a layer, or its inputs, or the one of this name.

    Raises:
        RepairRefused: there is none, or it keeps no statistics.
    """
    layers = {layer.name: layer.weight_name for layer in case.network.graph.layers}
    with_statistics = [record for record in audit.records if record.variance]
    for record in with_statistics:
        pair = record.layer
        if pair is None or pair.direction.startswith("bn") != is_norm_first:
            continue
        if layers.get(name) == pair.weight_name:
            return record
    for record in with_statistics:
        if record.name == name:
            return record
    if name not in layers:
        raise RepairRefused("no layer has this name", at=name)
    verb = "comes before" if is_norm_first else "follows"
    raise RepairRefused(f"no BatchNorm with statistics {verb} this layer", at=name)


def _dead_places(case: Case, audit: BatchNormAudit) -> dict[str, BatchNormRecord]:
    """Every BatchNorm with dead channels once, by the layer whose output channels they are, else by its own name."""
    layers = {layer.weight_name: layer.name for layer in case.network.graph.layers if layer.weight_name is not None}
    found: dict[str, BatchNormRecord] = {}
    for record in {record.name: record for record in reversed(audit.records) if record.dead}.values():
        pair = record.layer
        follows = pair is not None and pair.direction.endswith("->bn")
        found[layers.get(pair.weight_name, record.name) if pair is not None and follows else record.name] = record
    return dict(reversed(found.items()))


RESET_VARIANCE_MEAN = Repair("reset_variance_mean", _by("mean"))
RESET_VARIANCE_CONSTANT = Repair("reset_variance_constant", _by("constant"))
