"""`reduce_weight_bits`: one bit less for the weights, so that pairs of products fit int16 (`reduce_range`)."""

from collections.abc import Sequence

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import change_weights, one_bit_less
from qdiag.simulate.case import Case


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    change = change_weights(
        case, sites, one_bit_less, refusal="these weights have two bits, and need both, or are floats"
    )
    costs = (Evidence("weight_bits_lost", 1.0, "bits"),)
    return Treatment(change.applied(context.session), change.names, settings=change.settings, costs=costs)


REDUCE_WEIGHT_BITS = Repair("reduce_weight_bits", _apply)
