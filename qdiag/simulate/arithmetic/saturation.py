"""How much of a layer's sums the backend's narrow registers take away, on reference inputs: a loss of its own."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.core.graph import Layer
from qdiag.core.scheme import QuantScheme
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.limits import (
    accumulator_bounds,
    adds_pairs,
    integer_patches,
    integer_weight,
    lost_in_pairs,
)
from qdiag.simulate.passes.weights import SimulatedWeights, with_weights

_IMAGES, _POSITIONS = 4, 64
"""Output positions per batch on which pairs are added one by one, and images that they are taken from."""


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
    source: Affine,
    weight: Affine,
    scheme: QuantScheme,
) -> Sums:
    """A layer's sums on quantized inputs and weights.

    Args:
        args: arguments of the operation with the quantized input first.
        source, weight: quantizers of the input (per tensor) and of the weight (per tensor or per channel).
    """
    if scheme.pair_saturation and adds_pairs(layer, source) and weights.weight is not None:
        pairs = _pair_sums(node, layer, args[0], weights.weight, source, weight)
        if pairs is not None:
            return pairs
    target: Any = node.target
    exact: Tensor = target(*with_weights(args, weights), **kwargs)
    low, high = accumulator_bounds(scheme.accumulator_bits, source, weight, layer, exact)
    return Sums(exact, torch.maximum(torch.minimum(exact, high), low))


def _pair_sums(
    node: fx.Node, layer: Layer, x: Tensor, weight: Tensor, source: Affine, weight_qparams: Affine
) -> Sums | None:
    """Sums at some output positions."""
    few = x if layer.kind == "linear" else x[:_IMAGES]
    patches = integer_patches(node, layer, few, tuple(weight.shape[2:]), source)
    if patches is None:
        return None
    patches = patches[:: max(1, patches.shape[0] // _POSITIONS)]
    integers = integer_weight(weight, weight_qparams)
    exact = (patches - float(source.zero_point)) @ integers.T
    scale = source.scale.to(x.device) * weight_qparams.scale.to(x.device)
    return Sums(exact * scale, (exact - lost_in_pairs(patches, integers)) * scale)
