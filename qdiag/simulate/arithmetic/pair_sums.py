"""Sums of two neighbouring products that saturate in int16, on the integers themselves.

They are followed where the sum is one matrix product: linear layers, and two-dimensional convolutions with one group;
other kernels add in other orders, and are taken as free of them.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from qdiag.capture.ops import operation_name
from qdiag.core.graph import Layer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import is_byte

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1
_UINT8_MAX = 255
_CHUNK = 1 << 24
"""Elements of the patches that are held at once."""
_CACHED = 1 << 17
"""Elements of a chunk that stays in the cache."""
_IMAGES, _POSITIONS = 4, 64
"""Output positions per batch that `sampled_pairs` adds up, and images that they are taken from."""


def adds_pairs(layer: Layer, source: Affine, weight: Affine) -> bool:
    """The layer runs on the instruction that adds pairs in int16, and this module knows in which order."""
    are_bytes = source.quant_min >= 0 and source.quant_max <= _UINT8_MAX and is_byte(weight)
    return are_bytes and (layer.kind == "linear" or (layer.kind == "conv" and layer.groups == 1))


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
    integers = (rows / source.scale.to(x.device)).round() + source.zero_point.to(x.device)
    return integers.clamp_(source.quant_min, source.quant_max)


def lost_in_pairs(activations: Tensor, integers: Tensor) -> Tensor:
    """(positions, C), what int16 cuts off the sums of two neighbouring products.

    Only pairs of weights that the largest activations could drive beyond int16 are looked at: few, in most networks.
    """
    a, w = paired(activations).permute(1, 2, 0).contiguous(), paired(integers)  # (K/2, 2, positions), (C, K/2, 2)
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


def paired(rows: Tensor) -> Tensor:
    """(N, K) as (N, K/2, 2); a last one without a neighbour gets a zero."""
    return F.pad(rows, (0, rows.shape[1] % 2)).view(rows.shape[0], -1, 2)


def without_lost_pairs(op: LayerOp, x: Tensor, output: Tensor, source: Affine, weight: Affine) -> Tensor:
    """A layer's output without what its pairs lose; the tensor given where none can.

    Args:
        x: the quantized input. source, weight: quantizers of the input and of the weight.
    """
    lost = lost_by_layer(op, x, source, weight)
    if lost is None:
        return output
    layer, _ = _parts_of(op)
    rows = lost * (source.scale.to(x.device) * weight.scale.to(x.device))
    axis = layer.channel_axis(output.ndim) or -1
    positions = output.movedim(axis, -1)
    return output - rows.view(positions.shape).movedim(-1, axis)


def lost_by_layer(op: LayerOp, x: Tensor, source: Affine, weight: Affine) -> Tensor | None:
    """What int16 cuts off the sums of a layer, integers, (positions, C); None where it can cut off nothing.

    Args:
        x: the quantized input. source, weight: quantizers of the input and of the weight.
    """
    layer, simulated = _parts_of(op)
    integers = integer_weight(simulated, weight)
    if not bool(risky_pairs(paired(integers), source.quant_max).any()):
        return None
    lost = []
    for part in _parts(x, integers.shape[1]):
        patches = integer_patches(op.node, layer, part, tuple(simulated.shape[2:]), source)
        if patches is None:
            return None
        lost.append(lost_in_pairs(patches, integers))
    return torch.cat(lost)


def sampled_pairs(op: LayerOp, x: Tensor, source: Affine, weight: Affine) -> tuple[Tensor, Tensor] | None:
    """Sums without the bias at some output positions, (positions, C), exact and with pairs that saturate."""
    layer, simulated = _parts_of(op)
    few = x if layer.kind == "linear" else x[:_IMAGES]
    patches = integer_patches(op.node, layer, few, tuple(simulated.shape[2:]), source)
    if patches is None:
        return None
    patches = patches[:: max(1, patches.shape[0] // _POSITIONS)]
    integers = integer_weight(simulated, weight)
    exact = (patches - float(source.zero_point)) @ integers.T
    scale = source.scale.to(x.device) * weight.scale.to(x.device)
    return exact * scale, (exact - lost_in_pairs(patches, integers)) * scale


def _parts_of(op: LayerOp) -> tuple[Layer, Tensor]:
    """The layer and its quantized weight."""
    assert op.layer is not None and op.weights is not None and op.weights.weight is not None
    return op.layer, op.weights.weight


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
