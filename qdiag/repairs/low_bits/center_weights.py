"""`center_weights`: weights lose their mean over the input channels, and are clamped, before their sign is taken."""

from collections.abc import Sequence

from qdiag.core.causes.findings import FindingSite
from qdiag.core.scheme import TensorChange, TensorScheme
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import change_weights
from qdiag.simulate.case import Case


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    change = change_weights(case, sites, _change, refusal="these weights are centred already, or not binary")
    return Treatment(change.applied(context.session), change.names, settings=change.settings)


def _change(scheme: TensorScheme) -> TensorChange | None:
    return TensorChange(center=True) if scheme.type == "binary" and not scheme.center else None


CENTER_WEIGHTS = Repair("center_weights", _apply)
