"""`raise_weight_scale`: a weight scale raised until the bias fits its integer.

The bias is an integer at `scale_in * scale_w` (arXiv 1712.05877, eq. 11). A channel of almost no weight and a bias of
ordinary size has a tiny `scale_w`, and the integer overflows. Its few weights lose nothing by a larger scale:
`scale_w >= 1.0001 * 2 |b| / ((2^bits - 2) scale_in)`, the bound that onnxruntime's quantizer keeps.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.graph import Layer
from qdiag.errors import RepairRefused
from qdiag.numerics.quantizers.affine import Affine
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import layers_of, places
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_plan_edits

_ROOM = 1.0001
"""Keeps the bound on the safe side of rounding."""


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """Channels that a site names, or all of the layer; a scale for the whole tensor is raised for the largest bias."""
    channels = {site.layer: site.channels for site in sites}
    edits: dict[str, Mapping[str, Any]] = {}
    raised_count = 0
    reason = "no layer here has a bias in integers"
    for layer in layers_of(case, sites):
        operands = case.plan.integer_operands(layer)
        least = _least_scale(case, layer, *operands) if operands is not None else None
        if operands is None or least is None:
            continue
        weight = operands[1]
        raised = _raised(weight.scale, least.to(weight.scale.device), channels.get(layer.name, ()))
        count = int((raised > weight.scale).sum())
        reason = "every bias fits its integer"
        if count:
            edits[layer.name] = {"weight": replace(weight, scale=raised)}
            raised_count += count
    if not edits:
        raise RepairRefused(reason, at=places(sites))
    costs = (Evidence("raised_scales", raised_count, "scales"),)
    return Treatment(with_plan_edits(context.session, case, edits), tuple(edits), costs=costs)


def _raised(scale: Tensor, least: Tensor, channels: Sequence[int]) -> Tensor:
    """The scales, () or (C,), with those of the named channels raised; of all when none is named."""
    raised = torch.maximum(scale, least)
    if not channels or not scale.ndim:
        return raised
    named = torch.zeros(scale.shape, dtype=torch.bool, device=scale.device)
    named[[c % len(named) for c in channels]] = True  # channels of a transposed convolution repeat in every group
    return torch.where(named, raised, scale)


def _least_scale(case: Case, layer: Layer, source: Affine, weight: Affine) -> Tensor | None:
    """Least weight scale, in the shape of the plan's, that holds the bias; None where the bias is not an integer."""
    plan = case.plan.layers[layer.name]
    kind = case.plan.bias_type(layer)
    if layer.bias is None or kind == "float":
        return None
    bias = case.network.program.constants[layer.bias].detach().cpu().double()
    if plan.bias_shift is not None:
        bias = bias + plan.bias_shift.detach().cpu().double()
    bits = 32 if kind == "int32" else 64
    least = _ROOM * 2.0 * bias.abs() / ((math.ldexp(1.0, bits) - 2.0) * float(source.scale))
    if not weight.scale.ndim:
        return least.max().float()
    if layer.weight_axis == 1:
        least = least.view(layer.groups, -1).amax(0)
    return least.float()


RAISE_WEIGHT_SCALE = Repair("raise_weight_scale", _apply)
