"""Weights and biases as the integer network has them."""

import math
import statistics
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.core.measures.records import WeightRecord
from qdiag.numerics.error_accumulator import error_sums
from qdiag.numerics.low_bit import low_bit_format
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.numerics.quantizers.binary import Binary
from qdiag.numerics.quantizers.ternary import Ternary
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.integer_weights import IntegerWeights
from qdiag.simulate.passes.network import Network, place

_LEAST_STORED = 16


@dataclass(frozen=True)
class SimulatedWeights:
    """Fake-quantized weight and bias of one layer under one plan; None where the layer has none.

    Attributes:
        integers: that these stand for, where the plan computes by the rules of a runtime, and the layer with integers;
            without a bias, where pairs of products saturate beside float arithmetic.
    """

    weight: Tensor | None
    bias: Tensor | None
    integers: IntegerWeights | None = None

    @property
    def identity(self) -> tuple[int, ...]:
        """Equal for weights that are the very same tensors."""
        own = self.integers.bias if self.integers is not None else None
        return id(self.weight), id(self.bias), id(own)

    @cached_property
    def largest_sum(self) -> float:
        """The largest sum of |weight| of an output channel; NaN without values."""
        assert self.weight is not None, "asked of layers with a weight"
        rows = self.weight.flatten(1)
        return float(torch.linalg.vector_norm(rows, 1.0, 1).amax()) if rows.numel() else math.nan


def float_weights(network: Network, layer: Layer) -> SimulatedWeights:
    """The weights of a layer as the float network has them."""
    constants = network.program.constants
    weight = constants[layer.weight] if layer.weight else None
    return SimulatedWeights(weight, constants[layer.bias] if layer.bias else None)


def simulated_weights(network: Network, plan: QuantPlan, layer: Layer) -> SimulatedWeights:
    """The weights of a layer as the quantized network has them."""
    layer_plan, own = plan.layers[layer.name], float_weights(network, layer)
    weight, bias = own.weight, own.bias
    if weight is None or layer_plan.weight is None:
        return own
    if layer_plan.bias_shift is not None:
        shift = layer_plan.bias_shift.to(network.device)
        bias = shift if bias is None else bias + shift
    simulated = place(layer_plan.weight.to(weight.device).fake_quantize(weight), network.device)
    operands = plan.integer_operands(layer)
    bias_type, integer = layer_plan.bias or plan.scheme.bias_of(layer.name), None
    if plan.scheme.arithmetic in ("fbgemm", "qnnpack"):
        bias_type = plan.bias_type(layer)
    if bias is not None and operands is not None:
        scale = bias_scale(*operands, groups=layer.groups, axis=layer.weight_axis, device=bias.device)
        stored = layer_plan.stored_bias if layer_plan.bias_shift is None and layer_plan.bias is None else None
        if stored is not None and bias_type != "float" and stored.fits(operands):
            own_values = stored.own_values(scale)
            integer = stored.integers.to(bias.device).double() if own_values is None else None
            bias = bias if own_values is None else own_values.to(bias.dtype)
        elif bias_type != "float":
            bits = 32 if bias_type == "int32" else 64
            is_torch = plan.scheme.arithmetic == "qnnpack"
            integer = bias_by_reciprocal(bias, scale) if is_torch else integer_bias(bias, scale, bits)
        bias = (integer * scale).to(bias.dtype) if integer is not None else bias
        if plan.scheme.arithmetic == "ort" and bias_type != "int32":
            integer = bias_made_integer(bias, scale)
    integers = None
    is_added_alone = bias is None or integer is not None or plan.scheme.arithmetic == "fbgemm"
    if plan.scheme.arithmetic != "float" and operands is not None and is_added_alone:
        integers = integers_of(layer_plan.weight.to(weight.device), weight, integer, network.device, layer)
    elif plan.scheme.pair_saturation and plan.scheme.arithmetic == "float" and operands is not None:
        integers = integers_of(layer_plan.weight.to(weight.device), weight, None, network.device, layer)
    return SimulatedWeights(simulated, bias, integers)


def integer_bias(bias: Tensor, scale: Tensor, bits: int) -> Tensor:
    """The bias as an integer of `bits` bits at a scale (arXiv 1712.05877, eq. 11), held in float64.

    Args:
        bias: (C,). scale: `scale_in * scale_w`, float64, () or (C,).
    """
    limit = math.ldexp(1.0, bits - 1)
    return torch.round(bias.double() / scale).clamp(-limit, limit - 1)


def bias_by_reciprocal(bias: Tensor, scale: Tensor) -> Tensor:
    """The bias as an int32 as torch makes it of one in float: a product with `f32(1 / scale)` in float32."""
    limit = math.ldexp(1.0, 31)
    return torch.round(bias.float() * (1.0 / scale.float())).double().clamp(-limit, limit - 1)


def bias_made_integer(bias: Tensor, scale: Tensor) -> Tensor:
    """What onnxruntime makes of a bias in float beside an integer weight: int32, by a division in float32.

    Beyond int32 the conversion of x86 gives the lowest integer, whatever the sign.
    """
    steps = torch.round(bias.float() / scale.float())
    limit = math.ldexp(1.0, 31)
    return torch.where((steps >= -limit) & (steps < limit), steps, -limit).double()


def integers_of(
    quantizer: Quantizer, weight: Tensor, bias: Tensor | None, device: torch.device, layer: Layer
) -> IntegerWeights:
    """What a backend stores of a layer.

    Args:
        quantizer: of the weight. weight: as it is, or as the quantizer made it. bias: (C,), integers in float64.
    """
    assert isinstance(quantizer, Affine), "its operands are integers"
    zero_point = quantizer.per_unit(quantizer.zero_point, weight.ndim)
    integers = place(quantizer.quantize(weight).float() - zero_point, device)
    middle = (quantizer.quant_max + 1) // 2 if quantizer.quant_min >= 0 else 0  # kernels of signed bytes store them so
    signed = place(zero_point.float(), device) - float(middle)
    return IntegerWeights(integers, bias, layer.weight_axis, layer.groups, signed)


def bias_scale(source: Affine, weight: Affine, *, groups: int, axis: int, device: torch.device) -> Tensor:
    """`scale_in * scale_w` in float64, shape () with one scale per tensor, (C,) with one per channel."""
    weight_scale = weight.scale.to(device)
    if weight_scale.ndim and axis == 1:
        weight_scale = weight_scale.repeat(groups)  # a transposed convolution's channels repeat in every group
    return source.scale.to(device).double() * weight_scale.double()


def weight_record(network: Network, plan: QuantPlan, layer: Layer, weights: SimulatedWeights) -> WeightRecord | None:
    """How far a layer's quantized weight is from the float one; None without a quantized weight."""
    quantizer = plan.layers[layer.name].weight
    simulated = weights.weight
    if layer.weight is None or quantizer is None or simulated is None:
        return None
    reference = network.program.constants[layer.weight].cpu()
    rows = reference.movedim(layer.weight_axis, 0).reshape(reference.shape[layer.weight_axis], -1)
    other = simulated.cpu().movedim(layer.weight_axis, 0).reshape(rows.shape)
    channels = channel_sqnr_db(reference=rows, simulated=other)
    return WeightRecord(
        name=layer.weight_name or layer.weight,
        shape=tuple(reference.shape),
        bits=plan.scheme.weights_of(layer.name).bits if layer.weight_format is None else quantizer.record().bits,
        granularity=quantizer.granularity,
        quantizer=quantizer.record(),
        error=error_sums(reference=rows.contiguous(), simulated=other.contiguous()),
        min=float(reference.min()),
        max=float(reference.max()),
        channel_sqnr_db_median=statistics.median(channels) if channels else math.nan,
        channel_sqnr_db_min=min(channels, default=math.nan),
        has_one_scale=quantizer.granularity == "per_tensor"
        or (quantizer.granularity == "per_channel" and reference.shape[layer.weight_axis] == 1),
        own_format=layer.weight_format,
        stored_format=None if layer.weight_format else _stored_format(reference, layer.weight_axis, quantizer),
    )


def _stored_format(weight: Tensor, channel_axis: int, quantizer: Quantizer) -> Literal["binary", "ternary"] | None:
    """See `WeightRecord`; nothing in `forward` says so, and few weights, or those of one sign, may be so by chance."""
    if isinstance(quantizer, Binary | Ternary) or weight.numel() < _LEAST_STORED:
        return None
    form = low_bit_format(weight, channel_axis)
    return form if form is not None and bool((weight > 0).any() and (weight < 0).any()) else None


def channel_sqnr_db(*, reference: Tensor, simulated: Tensor) -> list[float]:
    """SQNR of each row (C, K) that is not all zero; +inf where nothing was lost."""
    own, other = reference.double(), simulated.double()
    noise, signal = (own - other).square_().sum(1), own.square().sum(1)
    ratio = 10.0 * torch.log10(signal / noise)
    values: list[float] = ratio[signal > 0].tolist()
    return values
