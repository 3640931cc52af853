"""`reduce_activation_bits`: one bit less for what a layer reads, so that pairs of products fit int16.

torch's own default for fbgemm (`reduce_range`). The layers that feed it write 7 bits, and whatever else reads those
tensors reads 7 bits too.
"""

from collections.abc import Sequence

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.scheme import TensorChange, TensorScheme
from qdiag.core.tensor_scheme import FLOAT_TYPES
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import change_outputs, layers_of, places, quantizer_owners
from qdiag.simulate.case import Case

_LEAST = 2


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    fed_by = {name for layer in layers_of(case, sites) for name in layer.inputs}
    names = quantizer_owners(case, [layer for layer in case.network.graph.sites if layer.name in fed_by])
    refusal = "what is read here has two bits, and needs both, or is no integer"
    change = change_outputs(case, names, _change, refusal=refusal, at=places(sites))
    costs = (Evidence("activation_bits_lost", 1.0, "bits"),)
    return Treatment(change.applied(context.session), change.names, settings=change.settings, costs=costs)


def _change(scheme: TensorScheme) -> TensorChange | None:
    has_integers = scheme.type not in FLOAT_TYPES
    return scheme.change_to_bits(scheme.bits - 1) if scheme.bits > _LEAST and has_integers else None


REDUCE_ACTIVATION_BITS = Repair("reduce_activation_bits", _apply)
