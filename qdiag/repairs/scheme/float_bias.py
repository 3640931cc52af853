"""`float_bias`: the bias is added in float after rescaling, where an integer at `scale_in * scale_w` fails it."""

from collections.abc import Sequence

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import integer_biases, layers_of, places, with_bias
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    graph, constants = case.network.graph, case.network.program.constants
    names = integer_biases(case, layers_of(case, sites))
    if not names:
        raise RepairRefused("no layer here has a bias in integers", at=places(sites))
    scheme, settings = with_bias(case.scheme, names, "float", everywhere=integer_biases(case, graph.layers))
    values = sum(constants[layer.bias].numel() for layer in graph.layers if layer.bias and layer.name in names)
    costs = (Evidence("float_biases", float(values), "values"),)
    return Treatment(with_scheme(context.session, case, scheme), names, settings=settings, costs=costs)


FLOAT_BIAS = Repair("float_bias", _apply)
