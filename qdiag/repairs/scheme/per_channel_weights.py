"""`per_channel_weights`: a scale for every output channel, so that no channel sets the steps of another.

Whether the weights are affine stays as the scheme has it, at single layers as for the whole network. A range that is
given for the whole weight gives way to those of the channels.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.scheme import LayerOverride, TensorChange, TensorScheme
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
    settings: tuple[str, ...] = ("weights.granularity=per_channel",)
    if any(case.scheme.weights_of(name).range is not None for name in names):
        anew = LayerOverride("*", weights=TensorChange(calibrator=weights.calibrator))
        scheme = replace(scheme, layers=(*scheme.layers, anew))
        settings = (*settings, f'layers."*".weights.calibrator={weights.calibrator}')
    return WholeChange(scheme, names, settings, _extra_scales(case, names))


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
    if not has_scale or scheme.granularity != "per_tensor":
        return None
    # a range that is given would be that of every channel
    calibrator = scheme.calibrator if scheme.range is not None else None
    return TensorChange(granularity="per_channel", calibrator=calibrator)


PER_CHANNEL_WEIGHTS = Repair("per_channel_weights", _apply, everywhere=_everywhere)
