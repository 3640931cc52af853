"""`scale_signs`: signs of weights get a magnitude per channel, the mean of |weight| (arXiv 1603.05279, equation 6).

It is a factor of the sums of a channel, and goes into whatever multiplies them anyway.
"""

from collections.abc import Sequence

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.scheme import TensorChange, TensorScheme
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import change_weights, layers_of
from qdiag.simulate.case import Case


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    refusal = "these weights have a magnitude per channel already, or are neither binary nor ternary"
    change = change_weights(case, sites, _change, refusal=refusal)
    added = sum(_channel_count(case, name) for name in change.names)
    costs = (Evidence("extra_scales", float(added), "scales"),)
    return Treatment(change.applied(context.session), change.names, settings=change.settings, costs=costs)


def _change(scheme: TensorScheme) -> TensorChange | None:
    is_low = scheme.type in ("binary", "ternary")
    has_own = scheme.granularity == "per_channel" and scheme.scale_name != "none"
    return TensorChange(scale="float32", granularity="per_channel") if is_low and not has_own else None


def _channel_count(case: Case, name: str) -> int:
    (layer,) = [layer for layer in layers_of(case, [FindingSite(name)]) if layer.weight is not None]
    return case.network.program.constants[layer.weight or ""].shape[layer.weight_axis]


SCALE_SIGNS = Repair("scale_signs", _apply)
