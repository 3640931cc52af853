"""`asymmetric_activations`: outputs get a zero point, and one-sided ranges all of their integers."""

from collections.abc import Sequence

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.scheme import FormatName, TensorChange, TensorScheme
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import change_activations
from qdiag.simulate.case import Case

_WITH_SIGN_TO_GIVE: tuple[FormatName, ...] = ("affine", "power_of_two")


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    change = change_activations(
        case, sites, _change, refusal="these outputs are affine already, or in a format without a zero point"
    )
    zero_points = sum(case.scheme.activations_of(name).type == "affine" for name in change.names)
    costs = (Evidence("zero_points", float(zero_points), "values"),)
    return Treatment(change.applied(context.session), change.names, settings=change.settings, costs=costs)


def _change(scheme: TensorScheme) -> TensorChange | None:
    if not scheme.symmetric or scheme.type not in _WITH_SIGN_TO_GIVE:
        return None
    narrow = False if scheme.narrow_range else None  # unsigned integers have no lowest value to leave out
    return TensorChange(symmetric=False, signed=False, narrow_range=narrow)


ASYMMETRIC_ACTIVATIONS = Repair("asymmetric_activations", _apply)
