"""`equalize`: cross-layer equalization with high-bias absorption, on the tensors of the original model.

A's output channel c is divided by s_c where the last affine map before the activation can take it: in gamma and beta of
its BatchNorm, or in the rows of its weight and its bias. B's weight takes s_c at input channel c, before its own
BatchNorm, which therefore sees what it always saw. On the calibration data the float network computes the same, up to
rounding; where a bound such as ReLU6's or an absorbed constant meets other values on other data, callers measure what
moved.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from qdiag.core.causes.findings import FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.equalization.absorb_bias import absorbed, absorbed_constants
from qdiag.repairs.equalization.moved_ranges import moved_ranges
from qdiag.repairs.equalization.pairs import Pair, find_pairs
from qdiag.repairs.equalization.scales import HEADROOM, equalizing_scales, scaled_weight
from qdiag.repairs.stale import without_stale_edits
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_tensors

_EQUAL = 1e-3
"""Factors closer to 1 than this are no change."""
_HEADROOMS = (HEADROOM, 2.0 * HEADROOM, 4.0 * HEADROOM)
"""Rooms to be tried under bounds, until the float output holds still."""


def equalized(
    case: Case, sites: Sequence[FindingSite], context: RepairContext, headroom: float = HEADROOM
) -> Treatment:
    """Equalizes the whole chains around the layers of the sites, or only the pairs that touch them where the context
    says so; all chains when there are no sites. Channels that the context spares stay as they are.

    Args:
        headroom: how many times as far out as on the calibration data values may lie before a bound changes them.

    Raises:
        RepairRefused: no scale can be moved there, or it would change nothing.
    """
    pairs = _chosen(case, {site.layer for site in sites}, context)
    constants = {key: case.program.constants[key] for key in _touched(pairs)}
    scales = equalizing_scales(pairs, constants, case.observations, headroom)
    scales = [s if float((s - 1.0).abs().max()) > _EQUAL else torch.ones_like(s) for s in scales]
    changed: dict[str, Tensor] = {}
    for pair, scale in zip(pairs, scales, strict=True):
        if bool((scale != 1.0).any()):
            changed |= scaled_pair(pair, scale, {**constants, **changed})
    changed |= absorbed(pairs, scales, {**constants, **changed}, case.observations, headroom)
    if not changed:
        raise RepairRefused("the ranges are as equal as they can be made already", at=pairs[0].first_layer.name)
    names = case.program.parameter_names
    changes = {names[key]: value for key, value in changed.items()}
    layers = _layers(pairs, changed)
    kept = without_stale_edits(case, layers)
    constant = absorbed_constants(pairs, scales, case.observations, headroom)
    seen = moved_ranges(kept, pairs, scales, constant) if not case.stored else None
    treated = with_tensors(context.session, kept, changes, recalibrate=seen is None, seen=seen)
    return Treatment(treated, layers, moves_float=True, tensors=changes)


def scaled_pair(pair: Pair, scale: Tensor, constants: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of both layers, by placeholder, with the first one's outputs divided and the second one's inputs
    multiplied by `scale`, (C,); copies.
    """
    first, second = pair.first, pair.second
    changed: dict[str, Tensor] = {}
    if first.norm is None:
        changed[first.weight] = scaled_weight(first, constants[first.weight], outputs=1.0 / scale, inputs=None)
    for key in (first.gamma, first.beta) if first.norm is not None else (first.bias,):
        if key is not None:
            changed[key] = (constants[key].double() / scale).to(constants[key].dtype)
    inputs = scale.repeat_interleave(pair.repeats)
    changed[second.weight] = scaled_weight(second, constants[second.weight], outputs=None, inputs=inputs)
    return changed


def _chosen(case: Case, names: set[str], context: RepairContext) -> tuple[Pair, ...]:
    pairs = find_pairs(case, context.spared)
    within = pairs.touching if context.is_local else pairs.around
    chosen = within(names) if names else pairs.found
    if chosen:
        return chosen
    reasons = {name: reason for name, reason in pairs.refused.items() if name in names or not names}
    for name, reason in reasons.items():
        raise RepairRefused(f"no scale can be moved to a layer after it: {reason}", at=name)
    raise RepairRefused("no convolution or linear layer is among these layers", at=", ".join(sorted(names)) or None)


def _touched(pairs: Sequence[Pair]) -> list[str]:
    layers = [layer for pair in pairs for layer in (pair.first, pair.second)]
    keys = [(x.weight, x.bias, x.gamma, x.beta, x.mean, x.variance) for x in layers]
    return list(dict.fromkeys(key for group in keys for key in group if key is not None))


def _layers(pairs: Sequence[Pair], changed: Mapping[str, Tensor]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for pair in pairs:
        for weighted, layer in ((pair.first, pair.first_layer), (pair.second, pair.second_layer)):
            own = (weighted.weight, weighted.bias, weighted.gamma, weighted.beta, weighted.mean)
            if any(key in changed for key in own if key is not None):
                names[layer.name] = None
    return tuple(names)


def _ways(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Iterator[tuple[float | None, Treatment]]:
    """With ever more room under bounds such as ReLU6's, where there are any."""
    if not any(layer.clamp is not None and _is_bounded(layer.clamp) for layer in case.network.graph.layers):
        yield None, equalized(case, sites, context)
        return
    for headroom in _HEADROOMS:
        yield headroom, equalized(case, sites, context, headroom)


def _is_bounded(clamp: tuple[float, float]) -> bool:
    return any(bound != 0.0 and abs(bound) != float("inf") for bound in clamp)


EQUALIZE = Repair("equalize", equalized, ways=_ways)
