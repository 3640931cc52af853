"""What a backend's narrow sums make of a layer's output.

Two limits: the accumulator itself (`accumulator_bits`), and the 16-bit sums of two neighbouring products that x86
processors without VNNI make first (`vpmaddubsw`: unsigned 8-bit activations times signed weights). The first acts on
every layer with integer inputs and weights. The second is followed where the sum is one matrix product: linear layers,
and two-dimensional convolutions with one group; other kernels add in other orders, and are taken as free of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from qdiag.capture.ops import operation_name
from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.plan import QuantPlan

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1
_UINT8_MAX = 255
_CHUNK = 1 << 24
"""Elements of the patches that are held at once."""
_CACHED = 1 << 17
"""Elements of a chunk that stays in the cache."""


@dataclass(frozen=True)
class OutputLimits:
    """Limits on the sums of one layer.

    Attributes:
        accumulator_bits: None where the accumulator is wide enough to be left alone.
        adds_pairs: pairs of products saturate in int16.
        source, weight: quantizers of the layer's input (per tensor) and of its weight (per tensor or per channel).
    """

    accumulator_bits: int | None
    adds_pairs: bool
    source: Affine
    weight: Affine

    @cached_property
    def key(self) -> tuple[object, ...]:
        """Equal for limits that act alike on the same tensors."""
        source = (float(self.source.scale), float(self.source.zero_point))
        return (self.accumulator_bits, self.adds_pairs, *source, tuple(self.weight.scale.flatten().tolist()))


def output_limits(plan: QuantPlan, layer: Layer) -> OutputLimits | None:
    """The limits under which a layer adds up; None where nothing can saturate, as under any ordinary scheme."""
    scheme = plan.scheme
    if scheme.accumulator_bits >= 32 and not scheme.pair_saturation:
        return None
    operands = plan.integer_operands(layer)
    if operands is None:
        return None
    source, weight = operands
    bits = scheme.accumulator_bits if scheme.accumulator_bits < 32 else None
    pairs = scheme.pair_saturation and adds_pairs(layer, source)
    return OutputLimits(bits, pairs, source, weight) if bits is not None or pairs else None


def adds_pairs(layer: Layer, source: Affine) -> bool:
    """The layer runs on the instruction that adds pairs in int16, and this module knows in which order."""
    is_unsigned_byte = source.quant_min >= 0 and source.quant_max <= _UINT8_MAX
    return is_unsigned_byte and (layer.kind == "linear" or (layer.kind == "conv" and layer.groups == 1))


def limited_output(
    limits: OutputLimits, node: fx.Node, layer: Layer, x: Tensor, weight: Tensor, output: Tensor
) -> Tensor:
    """A layer's output as the limits leave it; the tensor given where they change nothing.

    Args:
        node: the layer's operation. x: its quantized input. weight: its fake-quantized weight.
        output: what the operation gave for them, bias included, before any clamp.
    """
    if limits.adds_pairs:
        output = _without_lost_pairs(limits, node, layer, x, weight, output)
    if limits.accumulator_bits is None:
        return output
    low, high = accumulator_bounds(limits.accumulator_bits, limits.source, limits.weight, layer, output)
    if bool(((output < low) | (output > high)).any()):
        output = torch.maximum(torch.minimum(output, high), low)
    return output


def accumulator_bounds(
    bits: int, source: Affine, weight: Affine, layer: Layer, output: Tensor
) -> tuple[Tensor, Tensor]:
    """Lowest and highest sum in real units, in shapes that broadcast with the output."""
    weight_scale = weight.scale.to(output.device).double()
    if weight_scale.ndim and layer.weight_axis == 1:
        weight_scale = weight_scale.repeat(layer.groups)  # a transposed convolution's channels repeat in every group
    scale = source.scale.to(output.device).double() * weight_scale
    if scale.ndim:
        shape = [1] * output.ndim
        shape[-1 if layer.kind == "linear" else 1] = -1
        scale = scale.view(shape)
    limit = float(1 << (bits - 1))
    return (-limit * scale).to(output.dtype), ((limit - 1) * scale).to(output.dtype)


def integer_weight(weight: Tensor, qparams: Affine) -> Tensor:
    """(C, K) integers in the order of an im2col kernel: channels innermost."""
    order = weight.movedim(1, -1) if weight.ndim == 4 else weight
    scale = qparams.scale.to(weight.device).view(-1, 1)
    return (order.reshape(weight.shape[0], -1) / scale).round()


def integer_patches(node: fx.Node, layer: Layer, x: Tensor, kernel: tuple[int, ...], source: Affine) -> Tensor | None:
    """(positions, K) unsigned integers behind the output positions; None for what is not one matrix product."""
    rows = _patches(node, layer, x, kernel)
    if rows is None:
        return None
    return (rows / source.scale.to(x.device)).round() + source.zero_point.to(x.device)


def lost_in_pairs(activations: Tensor, integers: Tensor) -> Tensor:
    """(positions, C), what int16 cuts off the sums of two neighbouring products.

    Only pairs of weights that the largest activations could drive beyond int16 are looked at: few, in most networks.
    """
    a, w = _paired(activations).permute(1, 2, 0).contiguous(), _paired(integers)  # (K/2, 2, positions), (C, K/2, 2)
    lost = torch.zeros(w.shape[0], a.shape[2], device=a.device)
    if not a.numel():
        return lost.T
    channels, pairs = risky_pairs(w, a.amax(2)).nonzero(as_tuple=True)
    step = max(1, _CACHED // a.shape[2])
    for first in range(0, len(channels), step):
        c, k = channels[first : first + step], pairs[first : first + step]
        weights = w[c, k].unsqueeze(2)
        pair = (a[k, 0] * weights[:, 0]).addcmul_(a[k, 1], weights[:, 1])
        lost.index_add_(0, c, pair - pair.clamp(INT16_MIN, INT16_MAX))
    return lost.T


def risky_pairs(pairs: Tensor, largest: Tensor | float) -> Tensor:
    """Which pairs of weights (C, K/2, 2) can leave int16 with activations from 0 to `largest`, (K/2, 2) or one for all.

    Activations are not negative, so only weights of one sign add up.
    """
    return ((pairs.clamp(min=0) * largest).sum(2) > INT16_MAX) | ((pairs.clamp(max=0) * largest).sum(2) < INT16_MIN)


def _paired(rows: Tensor) -> Tensor:
    """(N, K) as (N, K/2, 2); a last one without a neighbour gets a zero."""
    return F.pad(rows, (0, rows.shape[1] % 2)).view(rows.shape[0], -1, 2)


def _without_lost_pairs(
    limits: OutputLimits, node: fx.Node, layer: Layer, x: Tensor, weight: Tensor, output: Tensor
) -> Tensor:
    integers = integer_weight(weight, limits.weight)
    if not bool(risky_pairs(_paired(integers), limits.source.quant_max).any()):
        return output
    scale = limits.source.scale.to(x.device) * limits.weight.scale.to(x.device)
    lost = []
    for part in _parts(x, integers.shape[1]):
        patches = integer_patches(node, layer, part, tuple(weight.shape[2:]), limits.source)
        if patches is None:
            return output
        lost.append(lost_in_pairs(patches, integers) * scale)
    rows = torch.cat(lost)
    if layer.kind == "linear":
        return output - rows.view(output.shape)
    positions = output.movedim(1, -1)
    return output - rows.view(positions.shape).movedim(-1, 1)


def _parts(x: Tensor, fan_in: int) -> Iterator[Tensor]:
    """A few samples at a time, as their patches take memory."""
    per_sample = max(1, x[0].numel()) * max(1, fan_in // max(1, x.shape[1])) if x.shape[0] else 1
    count = max(1, _CHUNK // per_sample)
    for first in range(0, x.shape[0], count):
        yield x[first : first + count]


def _patches(node: fx.Node, layer: Layer, x: Tensor, kernel: tuple[int, ...]) -> Tensor | None:
    """(positions, K) inputs behind the output positions, image by image, row by row."""
    if layer.kind == "linear":
        return x.reshape(-1, x.shape[-1])
    if layer.kind != "conv" or layer.groups != 1 or x.ndim != 4:
        return None
    stride, padding, dilation = _geometry(node)
    if isinstance(padding, str):
        if padding != "valid":
            return None
        padding = [0, 0]
    columns = F.unfold(x.contiguous(), kernel, dilation=dilation, padding=padding, stride=stride)
    per_channel = columns.view(columns.shape[0], x.shape[1], -1, columns.shape[2])
    return per_channel.permute(0, 3, 2, 1).reshape(-1, columns.shape[1])


def _geometry(node: fx.Node) -> tuple[Any, Any, Any]:
    """Stride, padding and dilation; conv2d and convolution agree on their places."""
    assert operation_name(node) in ("conv2d", "convolution")
    defaults = ([1, 1], [0, 0], [1, 1])
    names = ("stride", "padding", "dilation")
    return tuple(  # type: ignore[return-value]
        node.args[i] if i < len(node.args) else node.kwargs.get(name, default)
        for i, name, default in zip((3, 4, 5), names, defaults, strict=True)
    )
