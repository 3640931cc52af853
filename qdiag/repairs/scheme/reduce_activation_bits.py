"""`reduce_activation_bits`: one bit less for what a layer reads, so that pairs of products fit int16.

torch's own default for fbgemm (`reduce_range`). The layers that feed it write 7 bits, and whatever else reads those
tensors reads 7 bits too.
"""

from collections.abc import Sequence

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import change_outputs, layers_of, one_bit_less, places, quantizer_owners
from qdiag.simulate.case import Case


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    fed_by = {name for layer in layers_of(case, sites) for name in layer.inputs}
    names = quantizer_owners(case, [layer for layer in case.network.graph.sites if layer.name in fed_by])
    refusal = "what is read here has two bits, and needs both, or is a float"
    change = change_outputs(case, names, one_bit_less, refusal=refusal, at=places(sites))
    costs = (Evidence("activation_bits_lost", 1.0, "bits"),)
    return Treatment(change.applied(context.session), change.names, settings=change.settings, costs=costs)


REDUCE_ACTIVATION_BITS = Repair("reduce_activation_bits", _apply)
