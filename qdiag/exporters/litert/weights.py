"""Weights and biases of layers as constants of the file: integers where the plan has them so."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.exporters.litert.build import Builder
from qdiag.exporters.litert.number_types import as_weight, dtype_of, is_wide, lite_quantization
from qdiag.litert.model import Array, LiteQuantization
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.weights import bias_scale, simulated_weights

_INT64 = 1 << 62
_INT32 = 1 << 31


def write_weights(
    build: Builder,
    network: Network,
    plan: QuantPlan,
    layer: Layer,
    order: Sequence[int],
    axis: int,
    *,
    source: Affine | None,
) -> tuple[int, int]:
    """Places of a layer's weight and bias; kernels want a bias, so that one of zeros stands for none.

    Args:
        order: of the axes of the weight in the file, with the one row of a signal's weight behind its channels.
        axis: of its channels there.
        source: quantizer of the input in the file; None writes both in float, as they are simulated.

    Raises:
        ConfigError: the weight has no integers that LiteRT takes.
    """
    program, own = network.program, plan.layers[layer.name]
    assert layer.weight is not None
    name = program.parameter_names.get(layer.weight, layer.weight)
    bias_name = program.parameter_names.get(layer.bias, layer.bias) if layer.bias else f"{layer.name}/bias"
    weight = program.constants[layer.weight].detach().cpu().float()
    rows = (slice(None), slice(None), *(None,) * (len(order) - weight.ndim))
    if source is None or own.weight is None:
        simulated = simulated_weights(network, plan, layer)
        values = simulated.weight.cpu().numpy() if simulated.weight is not None else weight.numpy()
        bias = simulated.bias if simulated.bias is not None else torch.zeros(weight.shape[layer.weight_axis])
        places = build.constant(name, np.ascontiguousarray(values[rows].transpose(order)))
        return places, build.constant(bias_name, bias.detach().cpu().float().numpy())
    quantizer = as_weight(own.weight, layer.name, build.kind)
    kind = dtype_of(quantizer)
    integers = np.ascontiguousarray(quantizer.quantize(weight).numpy().astype(kind)[rows].transpose(order))
    place = build.tensor(name, integers.shape, kind, integers, lite_quantization(quantizer, axis))
    scale = bias_scale(source, quantizer, groups=layer.groups, axis=layer.weight_axis, device=torch.device("cpu"))
    is_long = any(map(is_wide, (source, own.output)))
    stored = _integer_bias(network, plan, layer, scale, weight.shape[layer.weight_axis], is_long=is_long)
    scales = (source.scale.cpu() * quantizer.scale.cpu()).reshape(-1).numpy()
    quantization = LiteQuantization(scales, np.zeros(scales.size, np.int64), 0)
    return place, build.tensor(bias_name, stored.shape, stored.dtype, stored, quantization)


def _integer_bias(
    network: Network, plan: QuantPlan, layer: Layer, scale: Tensor, count: int, *, is_long: bool
) -> Array:
    """At `scale_in * scale_w` (arXiv 1712.05877, eq. 11), saturated; int32, or int64 as kernels of int16 take it."""
    own = plan.layers[layer.name]
    bias = network.program.constants[layer.bias].detach().cpu().double() if layer.bias else torch.zeros(count).double()
    if own.bias_shift is not None:
        bias = (bias.float() + own.bias_shift.cpu()).double()
    has_64_bits = is_long and (own.bias or plan.scheme.bias_of(layer.name)) == "int64"
    limit = _INT64 if has_64_bits else _INT32
    stored: Array = torch.round(bias / scale).clamp(-limit, limit - 1).to(torch.int64).numpy()
    return stored if is_long else stored.astype(np.int32)
