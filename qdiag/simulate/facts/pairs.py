"""Layers of a plan whose kernels add pairs of products in int16, and may leave it."""

from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.pytorch.fbgemm import FbgemmSums
from qdiag.simulate.arithmetic.table import arithmetic_of
from qdiag.simulate.case import Case
from qdiag.simulate.passes.weights import simulated_weights


def saturating_pairs(case: Case) -> tuple[str, ...]:
    """By name: depthwise layers of fbgemm, whose weights and range of activations can drive a pair out of int16."""
    found = []
    for layer in case.network.graph.layers:
        rule = arithmetic_of(case.plan, layer)
        if not isinstance(rule, FbgemmSums):
            continue
        weights = simulated_weights(case.network, case.plan, layer)
        if rule.can_saturate(LayerOp(case.network.node(layer.nodes[0]), layer, weights)):
            found.append(layer.name)
    return tuple(found)
