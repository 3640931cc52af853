"""What detectors look at in a bias."""

import math

import torch

from qdiag.core.causes.findings import Evidence
from qdiag.core.graph import Layer
from qdiag.core.measures.facts import BiasFacts
from qdiag.plan import QuantPlan
from qdiag.simulate.case import Case
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.weights import bias_scale


def bias_facts(
    network: Network, plan: QuantPlan, layer: Layer, wrapped_channels: tuple[int, ...] = ()
) -> BiasFacts | None:
    """The bias as its integer, before that is limited to its width; None where the bias stays in float.

    Args:
        wrapped_channels: see `BiasFacts`.
    """
    layer_plan, operands = plan.layers[layer.name], plan.integer_operands(layer)
    kind = plan.bias_type(layer)
    if layer.bias is None or operands is None or kind == "float":
        return None
    bits = 32 if kind == "int32" else 64
    bias = network.program.constants[layer.bias].detach().cpu().double()
    scale = bias_scale(*operands, groups=layer.groups, axis=layer.weight_axis, device=torch.device("cpu"))
    integer = (bias / scale).round()
    limit = math.ldexp(1.0, bits - 1)
    outside = (integer < -limit) | (integer > limit - 1)
    output = layer_plan.output
    return BiasFacts(
        bits=bits,
        integer_max_abs=float(integer.abs().max()),
        overflow_channels=tuple(outside.nonzero().flatten().tolist()),
        step_over_scale=float(scale.max()) / output.record().step_at(0.0) if output is not None else math.nan,
        wrapped_channels=wrapped_channels,
    )


def overflowing_biases(network: Network, plan: QuantPlan) -> dict[str, tuple[int, ...]]:
    """Per layer, in graph order, the channels whose bias is limited to its integer; layers without any are left out."""
    facts = {layer.name: bias_facts(network, plan, layer) for layer in network.graph.layers}
    return {name: bias.overflow_channels for name, bias in facts.items() if bias is not None and bias.overflow_channels}


def new_overflows(before: Case, after: Case) -> tuple[Evidence, ...]:
    """How many biases are limited to their integers after a change, and were not before it; empty without any."""
    known = overflowing_biases(before.network, before.plan)
    found = overflowing_biases(after.network, after.plan)
    count = sum(len(set(channels) - set(known.get(name, ()))) for name, channels in found.items())
    return (Evidence("overflowing_biases", float(count), "values"),) if count else ()
