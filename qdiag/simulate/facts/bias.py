"""What detectors look at in a bias."""

import math

import torch

from qdiag.core.graph import Layer
from qdiag.core.measures.facts import BiasFacts
from qdiag.plan import QuantPlan
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
