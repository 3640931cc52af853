"""`per_channel_weights`: a scale for every output channel, so that no channel sets the steps of another."""

from collections.abc import Sequence

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.scheme import TensorChange, TensorScheme
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme.scheme_change import change_weights
from qdiag.simulate.case import Case


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    del context
    change = change_weights(case, sites, _change, refusal="these weights have a scale per channel or finer already")
    shapes = {
        layer.name: case.network.program.constants[layer.weight].shape[layer.weight_axis]
        for layer in case.network.graph.layers
        if layer.weight is not None
    }
    extra = sum(shapes[name] - 1 for name in change.names)
    costs = (Evidence("extra_scales", float(extra), "values"),)
    return Treatment(change.applied(), change.names, settings=change.settings, costs=costs)


def _change(scheme: TensorScheme) -> TensorChange | None:
    """Affine weights become symmetric: integer backends with a scale per channel have no zero point per channel."""
    if scheme.granularity != "per_tensor":
        return None
    if scheme.symmetric and scheme.signed:
        return TensorChange(granularity="per_channel")
    return TensorChange(granularity="per_channel", symmetric=True, signed=True)


PER_CHANNEL_WEIGHTS = Repair("per_channel_weights", _apply)
