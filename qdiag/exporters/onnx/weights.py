"""Weights and biases of layers as initializers: integers behind a DequantizeLinear where the plan has them so."""

import math

import numpy as np
import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.errors import ConfigError
from qdiag.exporters.onnx.graph import GraphWriter
from qdiag.exporters.onnx.number_types import as_affine, storage
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.weights import bias_scale, simulated_weights


def write_weights(graph: GraphWriter, network: Network, plan: QuantPlan, layer: Layer) -> tuple[str, str]:
    """Names of a layer's weight and bias; the bias is empty where there is none.

    Raises:
        ConfigError: the weight has no integers at one scale per tensor or channel.
    """
    program, own = network.program, plan.layers[layer.name]
    assert layer.weight is not None
    name = program.parameter_names.get(layer.weight, layer.weight)
    if own.weight is None:
        weight = graph.constant(name, _array(program.constants[layer.weight]))
    else:
        weight = _integer_weight(graph, name, program.constants[layer.weight], own.weight, layer)
    bias = simulated_weights(network, plan, layer).bias
    if bias is None:
        return weight, ""
    bias_name = program.parameter_names.get(layer.bias, layer.bias) if layer.bias else f"{layer.name}.bias"
    operands = plan.integer_operands(layer)
    kind = own.bias or plan.scheme.bias_of(layer.name)
    if own.weight is None or operands is None or kind != "int32":
        return weight, graph.constant(bias_name, _array(bias))
    scale = bias_scale(*operands, groups=layer.groups, axis=layer.weight_axis, device=torch.device("cpu"))
    return weight, _integer_bias(graph, bias_name, _bias_integers(network, plan, layer, scale), scale)


def _integer_weight(graph: GraphWriter, name: str, weight: Tensor, quantizer: object, layer: Layer) -> str:
    if not isinstance(quantizer, Affine):
        raise ConfigError(
            "its weight has no integers at one scale, and a file of ONNX has no other weights",
            at=layer.name,
            hint="leave the layer in float, or choose a scheme of 8-bit integers",
        )
    affine = as_affine(quantizer, layer.name)
    integers = affine.quantize(weight.detach().cpu().float()).numpy().astype(storage(affine))
    return graph.dequantized(graph.constant(f"{name}_quantized", integers), affine, name)


def _bias_integers(network: Network, plan: QuantPlan, layer: Layer, scale: Tensor) -> Tensor:
    """int32 at `scale_in * scale_w` (arXiv 1712.05877, eq. 11), saturated, or as a file has them."""
    own = plan.layers[layer.name]
    stored = own.stored_bias if own.bias_shift is None and own.bias is None else None
    if stored is not None and stored.fits(plan.integer_operands(layer)) and stored.own_values(scale) is None:
        return stored.integers.cpu().to(torch.int32)
    bias = network.program.constants[layer.bias].detach().cpu() if layer.bias else torch.zeros(())
    if own.bias_shift is not None:
        bias = bias + own.bias_shift.cpu()
    limit = math.ldexp(1.0, 31)
    return torch.round(bias.double() / scale).clamp(-limit, limit - 1).to(torch.int32)


def _integer_bias(graph: GraphWriter, name: str, integers: Tensor, scale: Tensor) -> str:
    inputs = [
        graph.constant(f"{name}_quantized", integers.numpy()),
        graph.constant(f"{name}_scale", scale.float().numpy()),
        graph.constant(f"{name}_zero_point", np.zeros(tuple(scale.shape), np.int32)),
    ]
    axis = {"axis": 0} if scale.ndim else {}
    return graph.add("DequantizeLinear", inputs, f"{name}_DequantizeLinear", **axis)


def _array(value: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.ascontiguousarray(value.detach().cpu().float().numpy())
