"""Sums of products that do not fit where the backend keeps them.

Two limits: the accumulator itself (`accumulator_bits`), and the 16-bit sums of two neighbouring products that x86
processors without VNNI make first (`vpmaddubsw`: unsigned activations times signed weights).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

from qdiag.capture.ops import operation_name
from qdiag.core.graph import Layer
from qdiag.core.scheme import QuantScheme
from qdiag.numerics.qparams import QParams
from qdiag.simulate.paired import with_weights
from qdiag.simulate.weights import SimulatedWeights

_INT16_MIN, _INT16_MAX = -(1 << 15), (1 << 15) - 1
_POSITIONS = 64
"""Output positions per batch on which pairs are added one by one: all of them would cost half a multiplication each."""


@dataclass(frozen=True)
class Sums:
    """The same sums of products, without and with the limits, real units, any one shape."""

    unlimited: Tensor
    limited: Tensor


def limited_sums(
    node: fx.Node,
    layer: Layer,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    weights: SimulatedWeights,
    *,
    source: QParams,
    weight: QParams,
    scheme: QuantScheme,
) -> Sums:
    """A layer's sums on quantized inputs and weights.

    Args:
        args: arguments of the operation with the quantized input first.
        source, weight: quantizers of the input (per tensor) and of the weight (per tensor or per channel).
    """
    target: Any = node.target
    exact: Tensor = target(*with_weights(args, weights), **kwargs)
    if scheme.pair_saturation and not scheme.activations.signed and weights.weight is not None:
        pairs = _pair_sums(node, layer, args[0], weights.weight, source, weight)
        if pairs is not None:
            return pairs
    weight_scale = weight.scale.to(exact.device).double()
    if weight_scale.ndim and layer.weight_axis == 1:
        weight_scale = weight_scale.repeat(layer.groups)
    scale = source.scale.to(exact.device).double() * weight_scale
    if scale.ndim:
        axis = -1 if layer.kind == "linear" else 1
        shape = [1] * exact.ndim
        shape[axis] = -1
        scale = scale.view(shape)
    limit = float(1 << (scheme.accumulator_bits - 1))
    limited = (exact.double() / scale).clamp(-limit, limit - 1) * scale
    return Sums(exact, limited.to(exact.dtype))


def _pair_sums(
    node: fx.Node, layer: Layer, x: Tensor, weight: Tensor, source: QParams, weight_qparams: QParams
) -> Sums | None:
    """Sums at some output positions, pairs in the order of an im2col kernel (channels innermost)."""
    rows = _patches(node, layer, x, tuple(weight.shape[2:]))
    if rows is None:
        return None
    order = weight.movedim(1, -1) if weight.ndim == 4 else weight
    integers = order.reshape(weight.shape[0], -1) / weight_qparams.scale.to(x.device).view(-1, 1)
    integers = integers.round()
    activations = (rows / source.scale.to(x.device)).round() + source.zero_point.to(x.device)
    missing = activations.shape[1] % 2
    a = F.pad(activations, (0, missing)).view(rows.shape[0], 1, -1, 2)
    w = F.pad(integers, (0, missing)).view(1, weight.shape[0], -1, 2)
    exact = torch.zeros(rows.shape[0], weight.shape[0], device=x.device)
    lost = torch.zeros_like(exact)
    for first in range(0, a.shape[2], 64):
        pair = (a[:, :, first : first + 64] * w[:, :, first : first + 64]).sum(3)
        exact += pair.sum(2)
        lost += (pair - pair.clamp(_INT16_MIN, _INT16_MAX)).sum(2)
    exact = exact - float(source.zero_point) * integers.sum(1)
    scale = source.scale.to(x.device) * weight_qparams.scale.to(x.device)
    return Sums(exact * scale, (exact - lost) * scale)


def _patches(node: fx.Node, layer: Layer, x: Tensor, kernel: tuple[int, ...]) -> Tensor | None:
    """Inputs behind some output positions, shape (positions, K); None for what is not one matrix product."""
    if layer.kind == "linear":
        rows = x.reshape(-1, x.shape[-1])
    elif layer.kind == "conv" and layer.groups == 1 and x.ndim == 4:
        stride, padding, dilation = _geometry(node)
        if isinstance(padding, str):
            return None
        columns = F.unfold(x[:4].contiguous(), kernel, dilation=dilation, padding=padding, stride=stride)
        per_channel = columns.view(columns.shape[0], x.shape[1], -1, columns.shape[2])
        rows = per_channel.permute(0, 3, 2, 1).reshape(-1, columns.shape[1])
    else:
        return None
    return rows[:: max(1, rows.shape[0] // _POSITIONS)]


def _geometry(node: fx.Node) -> tuple[Any, Any, Any]:
    """Stride, padding and dilation; conv2d and convolution agree on their places."""
    assert operation_name(node) in ("conv2d", "convolution")
    defaults = ([1, 1], [0, 0], [1, 1])
    names = ("stride", "padding", "dilation")
    return tuple(  # type: ignore[return-value]
        node.args[i] if i < len(node.args) else node.kwargs.get(name, default)
        for i, name, default in zip((3, 4, 5), names, defaults, strict=True)
    )
