"""A layer that torch.ao trains with its BatchNorm folded, as a graph shows it, becomes the layer and its BatchNorm.

torch.ao computes `conv(x, w * s) / s` and then the BatchNorm, with s = gamma / sqrt(variance + eps), so that what is
quantized is the folded weight (arXiv 1806.08342, section 3.2.2). In float that is `conv(x, w)`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

aten = torch.ops.aten
_SHAPES = (aten.view.default, aten.reshape.default, aten._unsafe_view.default)


def unfold_weight(graph: fx.Graph, layer: fx.Node, value_of: Callable[[fx.Node], Tensor | None]) -> bool:
    """Takes the factor out of the weight and of what reads the layer, in place; says whether there was one.

    Args:
        layer: a convolution or linear layer.
        value_of: what constants alone decide; None for anything else.
    """
    weight = layer.args[1]
    if not isinstance(weight, fx.Node) or weight.target is not aten.mul.Tensor or len(layer.users) != 1:
        return False
    plain, factor = weight.args[:2]
    (reader,) = layer.users
    if reader.target is not aten.div.Tensor or reader.args[0] is not layer:
        return False
    if _unshaped(factor) is None or _unshaped(factor) is not _unshaped(reader.args[1]):
        return False
    bias = layer.args[2] if len(layer.args) > 2 else None
    if isinstance(bias, fx.Node):
        added = value_of(bias)
        if added is None or bool((added != 0.0).any()):
            return False  # it is divided as well
    layer.args = (layer.args[0], plain, None, *layer.args[3:])
    reader.replace_all_uses_with(layer)
    graph.erase_node(reader)
    _take_in_bias(graph, layer)
    return True


def _take_in_bias(graph: fx.Graph, layer: fx.Node) -> None:
    """The bias that torch.ao adds after the division, as a bias of the layer again."""
    if len(layer.users) != 1:
        return
    (reader,) = layer.users
    if reader.target is not aten.add.Tensor or reader.args[0] is not layer or reader.kwargs:
        return
    bias = _unshaped(reader.args[1])
    if bias is None or bias.op != "placeholder":
        return
    layer.args = (*layer.args[:2], bias, *layer.args[3:])
    reader.replace_all_uses_with(layer)
    graph.erase_node(reader)


def _unshaped(value: Any) -> fx.Node | None:
    while isinstance(value, fx.Node) and value.target in _SHAPES and isinstance(value.args[0], fx.Node):
        value = value.args[0]
    return value if isinstance(value, fx.Node) else None
