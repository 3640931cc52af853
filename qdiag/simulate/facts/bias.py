"""What detectors look at in a bias."""

import math

import torch

from qdiag.core.graph import Layer
from qdiag.core.measures.facts import BiasFacts
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.weights import bias_scale


def bias_facts(network: Network, plan: QuantPlan, layer: Layer) -> BiasFacts | None:
    """The bias as its integer, before that is limited to its width; None where the bias stays in float."""
    layer_plan = plan.layers[layer.name]
    source = plan.layers[layer.inputs[0]].output if layer.inputs else None
    kind = layer_plan.bias or plan.scheme.bias_of(layer.name)
    weight = layer_plan.weight
    if layer.bias is None or weight is None or source is None or kind == "float" or weight.granularity == "per_group":
        return None
    bits = 32 if kind == "int32" else 64
    bias = network.program.constants[layer.bias].detach().cpu().double()
    scale = bias_scale(source, weight, groups=layer.groups, axis=layer.weight_axis, device=torch.device("cpu"))
    integer = (bias / scale).round()
    limit = math.ldexp(1.0, bits - 1)
    outside = (integer < -limit) | (integer > limit - 1)
    output = layer_plan.output
    return BiasFacts(
        bits=bits,
        integer_max_abs=float(integer.abs().max()),
        overflow_channels=tuple(outside.nonzero().flatten().tolist()),
        step_over_scale=float(scale.max()) / float(output.scale) if output is not None else math.nan,
    )
