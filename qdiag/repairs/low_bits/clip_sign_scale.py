"""`clip_sign_scale`: the magnitude of signs is the mean of |weights|, clipped to three times their median first.

The signs stay as they are. Which weights are clipped is decided channel by channel, so that one large weight no longer
sets the magnitude of all others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.errors import RepairRefused
from qdiag.numerics.quantizers.binary import Binary
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import layers_of, places
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_plan_edits

_MEDIANS = 3.0


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """At the channels that a site names, or all of the layer; one magnitude for the tensor is that of all its weights.

    Raises:
        RepairRefused: no layer has binary weights with a magnitude from the scheme, or none would change.
    """
    channels = {site.layer: site.channels for site in sites}
    edits: dict[str, Mapping[str, Any]] = {}
    changed_count, reason = 0, "no layer here has binary weights with a magnitude of the scheme's"
    for layer in layers_of(case, sites):
        quantizer = case.plan.layers[layer.name].weight
        if layer.weight is None or layer.weight_format is not None or not isinstance(quantizer, Binary):
            continue
        if not quantizer.has_scale:
            continue
        reason = "no weight here reaches beyond three times the median"
        seen = quantizer.centred(case.network.program.constants[layer.weight].detach().cpu()).abs()
        alpha = _named(quantizer.alpha, _clipped_means(seen, quantizer.channel_axis), channels.get(layer.name, ()))
        count = int((alpha != quantizer.alpha).sum())
        if count:
            edits[layer.name] = {"weight": replace(quantizer, alpha=alpha)}
            changed_count += count
    if not edits:
        raise RepairRefused(reason, at=places(sites))
    costs = (Evidence("changed_scales", changed_count, "scales"),)
    return Treatment(with_plan_edits(context.session, case, edits), tuple(edits), costs=costs)


def _clipped_means(magnitude: Tensor, channel_axis: int | None) -> Tensor:
    """(C,) or (), the mean where nothing is clipped."""
    rows = magnitude.reshape(1, -1) if channel_axis is None else magnitude.movedim(channel_axis, 0).flatten(1)
    median = rows.median(1, keepdim=True).values
    bound = torch.where(median > 0.0, _MEDIANS * median, torch.inf)
    means = torch.minimum(rows, bound).mean(1)
    return means[0] if channel_axis is None else means


def _named(own: Tensor, clipped: Tensor, channels: Sequence[int]) -> Tensor:
    """The clipped magnitudes where they are smaller, at the named channels, or at all when none is named."""
    smaller = torch.where(clipped.to(own.device) < own * (1.0 - 1e-6), clipped.to(own.device), own)
    if not channels or not own.ndim:
        return smaller
    named = torch.zeros(own.shape, dtype=torch.bool, device=own.device)
    named[list(channels)] = True
    return torch.where(named, smaller, own)


CLIP_SIGN_SCALE = Repair("clip_sign_scale", _apply)
