"""Layers that may come to other integers in the runtime whose rules a plan asks for."""

from collections.abc import Mapping

from qdiag.simulate.arithmetic.table import difference_to_runtime, read_by_rule
from qdiag.simulate.case import Case

OF_FLOAT = "it reads values in float that the runtime may come to in other steps"


def runtime_differences(case: Case) -> Mapping[str, str]:
    """By layer, why: by its own operation, or because of values in float that others hand to it, in graph order.

    A layer that reads integers alone has the rules of its own operation, whatever those integers are.
    """
    network, plans = case.network, case.plan.layers
    found: dict[str, str] = {}
    for layer in network.graph.layers:
        first = network.node(layer.nodes[0])
        own = difference_to_runtime(case.plan, layer, first)
        read = read_by_rule(case.plan, layer, first) if own is None else ()
        if any(name in found and plans[name].output is None for name in read):
            own = OF_FLOAT
        if own is not None:
            found[layer.name] = own
    return found
