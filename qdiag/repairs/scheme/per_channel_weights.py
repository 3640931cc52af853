"""`per_channel_weights`: a scale for every output channel, so that no channel sets the steps of another.

Whether the weights are affine stays as the scheme has it, at single layers as for the whole network.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.scheme import TensorChange, TensorScheme
from qdiag.repairs.base import Repair, RepairContext, Treatment, WholeChange
from qdiag.repairs.scheme_change import change_weights
from qdiag.simulate.case import Case


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    change = change_weights(
        case, sites, _change, refusal="these weights have a scale per channel or finer already, or none of their own"
    )
    treated = change.applied(context.session)
    return Treatment(treated, change.names, settings=change.settings, costs=_extra_scales(case, change.names))


def _everywhere(case: Case) -> WholeChange | None:
    weights = case.scheme.weights
    change = None if weights.is_float else _change(weights)
    if change is None:
        return None
    names = tuple(layer.name for layer in case.network.graph.layers if layer.weight is not None)
    scheme = replace(case.scheme, weights=change.over(weights))
    return WholeChange(scheme, names, ("weights.granularity=per_channel",), _extra_scales(case, names))


def _extra_scales(case: Case, names: Collection[str]) -> tuple[Evidence, ...]:
    constants = case.network.program.constants
    extra = sum(
        int(constants[layer.weight].shape[layer.weight_axis]) - 1
        for layer in case.network.graph.layers
        if layer.weight is not None and layer.name in names
    )
    return (Evidence("extra_scales", float(extra), "values"),)


def _change(scheme: TensorScheme) -> TensorChange | None:
    has_scale = scheme.type != "linear" and not (scheme.type == "binary" and scheme.scale_name == "none")
    return TensorChange(granularity="per_channel") if has_scale and scheme.granularity == "per_tensor" else None


PER_CHANNEL_WEIGHTS = Repair("per_channel_weights", _apply, everywhere=_everywhere)
