"""`eight_bits`: layers of one or two bits get 8, as networks with binary weights keep their first and last layer.

Weights become integers with a scale per channel, outputs affine integers, each where it has fewer bits now.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.scheme import TensorChange, TensorScheme
from qdiag.errors import ConfigError, RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment, WholeChange
from qdiag.repairs.scheme_change import change_activations, change_weights, places, setting_value
from qdiag.simulate.case import Case

_BITS = 8
_FEW = 2
_REFUSAL = "nothing here has one or two bits"
_WEIGHTS = TensorChange(bits=_BITS, type="affine", granularity="per_channel", symmetric=True, signed=True)
_OUTPUTS = TensorChange(bits=_BITS, type="affine", symmetric=False, signed=False)


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    treated, names, settings = case, list[str](), list[str]()
    extra = _extra_weight_bytes(case, sites)
    for change_part, wide in ((change_weights, _WEIGHTS), (change_activations, _OUTPUTS)):
        try:
            change = change_part(treated, sites, partial(_if_low, wide), refusal=_REFUSAL)
        except RepairRefused:
            continue
        treated = change.applied(context.session)
        names += change.names
        settings += change.settings
    if not names:
        raise RepairRefused(_REFUSAL, at=places(sites))
    costs = (Evidence("extra_weight_bytes", extra, "bytes"),)
    return Treatment(treated, tuple(dict.fromkeys(names)), settings=tuple(settings), costs=costs)


def _if_low(wide: TensorChange, scheme: TensorScheme) -> TensorChange | None:
    return wide if _is_low(scheme) else None


def _extra_weight_bytes(case: Case, sites: Sequence[FindingSite]) -> float:
    """What the weights of these layers take more."""
    named, extra = {site.layer for site in sites}, 0.0
    for layer in case.network.graph.layers:
        quantizer = case.plan.layers[layer.name].weight
        bits = case.scheme.weights_of(layer.name).bits
        if layer.weight is not None and quantizer is not None and bits <= _FEW and (not named or layer.name in named):
            extra += case.network.program.constants[layer.weight].numel() * (_BITS - bits) / 8.0
    return extra


def _everywhere(case: Case) -> WholeChange | None:
    scheme = case.scheme
    weights, outputs = _is_low(scheme.weights), _is_low(scheme.activations)
    layers = tuple(
        replace(
            own,
            weights=_WEIGHTS if _is_kept_low(own.weights, scheme.weights) else own.weights,
            activations=_OUTPUTS if _is_kept_low(own.activations, scheme.activations) else own.activations,
        )
        for own in scheme.layers
    )
    if not weights and not outputs and layers == scheme.layers:
        return None
    wide = replace(
        scheme,
        weights=_WEIGHTS.over(scheme.weights) if weights else scheme.weights,
        activations=_OUTPUTS.over(scheme.activations) if outputs else scheme.activations,
        layers=layers,
    )
    changes = [("weights", _WEIGHTS)] if weights else []
    changes += [("activations", _OUTPUTS)] if outputs else []
    for own in layers:
        at = f'layers."{own.pattern}".'
        changes += [(f"{at}weights", own.weights)] if own.weights is _WEIGHTS else []
        changes += [(f"{at}activations", own.activations)] if own.activations is _OUTPUTS else []
    settings = [f"{at}.{key}={setting_value(value)}" for at, change in changes for key, value in change.values.items()]
    names = tuple(layer.name for layer in case.network.graph.layers)
    costs = (Evidence("extra_weight_bytes", _extra_weight_bytes(case, ()), "bytes"),)
    return WholeChange(wide, names, tuple(settings), costs)


def _is_low(scheme: TensorScheme) -> bool:
    return scheme.bits <= _FEW


def _is_kept_low(change: TensorChange, base: TensorScheme) -> bool:
    """The layer's own fields would stay few bits, or contradict 8; the base speaks where only several patterns together
    make sense, and without fields of its own a layer follows the base.
    """
    try:
        return bool(change.values) and _is_low(change.over(base))
    except ConfigError:
        return _is_low(base)


EIGHT_BITS = Repair("eight_bits", _apply, everywhere=_everywhere)
