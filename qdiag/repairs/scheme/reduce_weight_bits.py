"""`reduce_weight_bits`: one bit less for the weights, so that pairs of products fit int16 (`reduce_range`)."""

from collections.abc import Sequence

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.scheme import TensorChange, TensorScheme
from qdiag.core.tensor_scheme import FLOAT_TYPES
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import change_weights
from qdiag.simulate.case import Case

_LEAST = 2


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    change = change_weights(case, sites, _change, refusal="these weights have two bits, and need both, or are floats")
    costs = (Evidence("weight_bits_lost", 1.0, "bits"),)
    return Treatment(change.applied(context.session), change.names, settings=change.settings, costs=costs)


def _change(scheme: TensorScheme) -> TensorChange | None:
    has_integers = scheme.type not in FLOAT_TYPES
    return scheme.change_to_bits(scheme.bits - 1) if scheme.bits > _LEAST and has_integers else None


REDUCE_WEIGHT_BITS = Repair("reduce_weight_bits", _apply)
