"""How large values can become in a network, whatever its inputs below a limit: a bound from its weights alone."""

import math
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.padding import padding_value

UNKNOWN = math.inf
_BEYOND = 1e30
"""Sums of float32 that stay below this leave no product or partial sum room to overflow."""
_NO_LARGER = frozenset(
    (
        *("relu", "relu6", "hardswish", "silu", "max_pool2d", "adaptive_avg_pool2d", "mean", "view", "reshape"),
        *("flatten", "permute", "transpose", "squeeze", "unsqueeze", "clone", "contiguous", "dropout", "slice"),
        *("select", "alias", "detach", "upsample_nearest2d", "pixel_shuffle", "channel_shuffle"),
        *("pad", "reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d"),
    )
)
"""Operations whose values are no larger than those of their first argument."""


@dataclass(frozen=True)
class Products:
    """Of a layer with weights: the largest sum of |weight| of an output channel, and the largest |bias|."""

    weights: float
    bias: float


@dataclass(frozen=True)
class Closing:
    """What the end of a layer does to its values.

    Attributes:
        quantized: largest |value| that the quantizers can give; 0 without any.
        clamped: largest |value| that a clamp leaves where nothing is quantized; 0 where everything is.
    """

    quantized: float = 0.0
    clamped: float = UNKNOWN


def largest_values(
    graph: fx.Graph,
    limit: float,
    constants: Container[str],
    products: Mapping[str, Products],
    ends: Mapping[str, Closing],
) -> Mapping[str, float]:
    """Bounds of |value| by node, before the clamp and the quantizers of its layer; `UNKNOWN` where NaN may be.

    Args:
        limit: of the network's inputs.
        constants: names of the placeholders that are none.
        products: by the node that begins a layer with weights. ends: by the node that ends a layer.
    """
    opened, closed = dict[str, float](), dict[str, float]()

    def of(argument: Any) -> float:
        if isinstance(argument, fx.Node):
            return closed.get(argument.name, UNKNOWN)
        return abs(float(argument)) if isinstance(argument, int | float) else UNKNOWN

    for node in graph.nodes:
        if node.op == "placeholder":
            bound = UNKNOWN if str(node.target) in constants else limit
        else:
            bound = _bound(node, of, products.get(node.name))
        bound = bound if bound < _BEYOND else UNKNOWN
        end = ends.get(node.name, Closing())
        opened[node.name] = bound
        closed[node.name] = max(end.quantized, min(bound, end.clamped)) if bound < UNKNOWN else UNKNOWN
    return opened


def _bound(node: fx.Node, of: Callable[[Any], float], products: Products | None) -> float:
    name, args = operation_name(node), node.args
    if products is not None:
        return of(args[0]) * products.weights + products.bias
    if name == "add" and len(args) == 2 and not node.kwargs:
        return of(args[0]) + of(args[1])
    if name == "cat" and isinstance(args[0], list | tuple):
        return max(map(of, args[0]), default=UNKNOWN)
    if name in ("clamp", "hardtanh"):
        return max(map(of, (arg for arg in args[:3] if arg is not None)))
    if (padded := padding_value(node)) is not None:
        # a lane that pads with an integer of the tensor stays within the ends of its quantizer
        return max(abs(padded), of(args[0]))
    return of(args[0]) if name in _NO_LARGER else UNKNOWN


def largest(x: Tensor | None) -> float:
    """|value|; 0 of nothing, NaN where there is one."""
    if x is None or not x.numel():
        return 0.0
    low, high = map(float, torch.aminmax(x))
    return max(-low, high)
