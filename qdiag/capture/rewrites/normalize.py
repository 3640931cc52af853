"""Rewrites the spellings of one operation into one canonical spelling.

Programs differ by origin: a decomposed `.pt2` spells linear as `addmm(bias, x, t(weight))`, TorchScript spells
convolution `_convolution`, attention hides two matrix products in one call. Everything after this file sees one form.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.capture.ops import operation_name

aten = torch.ops.aten


def normalize(graph: fx.Graph) -> None:
    """Rewrites the graph in place and removes what computes nothing."""
    for node in list(graph.nodes):
        if node.op != "call_function":
            continue
        if _is_assertion(node):
            graph.erase_node(node)
            continue
        rewrite = _REWRITES.get(node.target)
        if rewrite is None:
            continue
        with graph.inserting_before(node):
            new = rewrite(graph, node)
        if new is not None and new is not node:
            if isinstance(new, fx.Node) and new.op == "call_function":
                new.meta = {**node.meta, **new.meta}
            node.replace_all_uses_with(new)
            graph.erase_node(node)
    graph.eliminate_dead_code()


def _is_assertion(node: fx.Node) -> bool:
    """It checks what the network has computed already, and nobody reads what it returns."""
    name = operation_name(node)
    return not node.users and name.startswith(("_assert", "sym_constrain_range"))


Rewrite = Callable[[fx.Graph, fx.Node], "fx.Node | None"]


def _argument(node: fx.Node, index: int, name: str, default: Any = None) -> Any:
    if index < len(node.args):
        return node.args[index]
    return node.kwargs.get(name, default)


def _drop(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    """The operation returns its input unchanged."""
    del graph
    source = node.args[0]
    return source if isinstance(source, fx.Node) else None


def _copied(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    """`copy(x, y)` of equal shapes and types is y: what is left of writing to x."""
    del graph
    old, new = (a.meta.get("val") if isinstance(a, fx.Node) else None for a in node.args[:2])
    is_alike = isinstance(old, Tensor) and isinstance(new, Tensor) and old.shape == new.shape and old.dtype == new.dtype
    return node.args[1] if is_alike else None  # type: ignore[return-value]


def _drop_dropout(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    return _drop(graph, node) if not _argument(node, 2, "train", True) else None


def _view(graph: fx.Graph, node: fx.Node) -> fx.Node:
    # a view demands a memory layout; the simulator is free to keep images channels-last, where only reshape works
    return graph.call_function(aten.reshape.default, (node.args[0], node.args[1]))


def _convolution(graph: fx.Graph, node: fx.Node) -> fx.Node:
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "transposed", "output_padding", "groups")
    args = tuple(_argument(node, i, name) for i, name in enumerate(names))
    return graph.call_function(aten.convolution.default, args)


def _linear_from_addmm(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    bias, x, transposed = node.args[:3]
    weight = _transposed(transposed)
    if node.kwargs or weight is None:
        return None
    value = bias.meta.get("val") if isinstance(bias, fx.Node) else None
    if value is None or value.ndim == 1:
        return graph.call_function(aten.linear.default, (x, weight, bias))
    linear = graph.call_function(aten.linear.default, (x, weight, None))
    linear.meta = dict(node.meta)
    return graph.call_function(aten.add.Tensor, (linear, bias))


def _linear_from_mm(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    x, transposed = node.args[:2]
    weight = _transposed(transposed)
    return graph.call_function(aten.linear.default, (x, weight, None)) if weight is not None else None


def _transposed(node: Any) -> fx.Node | None:
    """The placeholder behind `t(weight)` or a transposing permute."""
    if not isinstance(node, fx.Node) or node.op != "call_function":
        return None
    source = node.args[0] if node.args else None
    if not isinstance(source, fx.Node) or source.op != "placeholder":
        return None
    is_transpose = (
        node.target is aten.t.default
        or (node.target is aten.permute.default and list(node.args[1]) == [1, 0])  # type: ignore[arg-type]
        or (node.target is aten.transpose.int and sorted(_pair(node)) in ([0, 1], [-2, -1]))
    )
    value = source.meta.get("val")
    return source if is_transpose and value is not None and value.ndim == 2 else None


def _pair(node: fx.Node) -> list[int]:
    return [int(i) for i in node.args[1:3] if isinstance(i, int)]


def _batch_norm(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    """`_native_batch_norm_legit_no_training(x, w, b, mean, var, momentum, eps)[0]`, seen from its getitem.

    One in training mode loses its running statistics: it does not read them, and must not write to them here.
    """
    source, index = node.args[0], node.args[1]
    if not isinstance(source, fx.Node) or index != 0:
        return None
    training = False
    if source.target is aten._native_batch_norm_legit_no_training.default:
        x, w, b, mean, var, momentum, eps = source.args
    elif source.target is aten.native_batch_norm.default and source.args[5] is False:
        x, w, b, mean, var, _, momentum, eps = source.args
    elif source.target is aten._native_batch_norm_legit_functional.default:
        x, w, b, mean, var, in_training, momentum, eps = source.args
        training = bool(in_training)
    else:
        return None
    mean, var = (None, None) if training else (mean, var)
    new = graph.call_function(aten.batch_norm.default, (x, w, b, mean, var, training, momentum, eps, False))
    new.meta = {**source.meta, "val": node.meta.get("val")}
    return new


def _attention(graph: fx.Graph, node: fx.Node) -> fx.Node | None:
    """softmax(q k^T * scale + mask) v: backends quantize both products, so both must be in the graph."""
    q, k, v = node.args[:3]
    mask, dropout = _argument(node, 3, "attn_mask"), _argument(node, 4, "dropout_p", 0.0)
    is_causal, scale = _argument(node, 5, "is_causal", False), _argument(node, 6, "scale")
    value = q.meta.get("val") if isinstance(q, fx.Node) else None
    if dropout or is_causal or _argument(node, 7, "enable_gqa", False) or value is None:
        return None
    mask_value = mask.meta.get("val") if isinstance(mask, fx.Node) else None
    if mask is not None and (mask_value is None or not mask_value.is_floating_point()):
        return None
    scale = 1.0 / math.sqrt(int(value.shape[-1])) if scale is None else scale

    def call(target: Any, *args: Any) -> fx.Node:
        new = graph.call_function(target, args)
        new.meta = {key: node.meta[key] for key in ("nn_module_stack", "stack_trace") if key in node.meta}
        return new

    scores = call(aten.matmul.default, q, call(aten.transpose.int, k, -2, -1))
    scores = call(aten.mul.Tensor, scores, scale)
    if mask is not None:
        scores = call(aten.add.Tensor, scores, mask)
    return call(aten.matmul.default, call(aten.softmax.int, scores, -1), v)


_REWRITES: dict[Any, Rewrite] = {
    aten._convolution.default: _convolution,
    aten.addmm.default: _linear_from_addmm,
    aten.mm.default: _linear_from_mm,
    aten.matmul.default: _linear_from_mm,
    operator.getitem: _batch_norm,
    aten.scaled_dot_product_attention.default: _attention,
    aten.view.default: _view,
    aten._unsafe_view.default: _view,
    aten.alias.default: _drop,
    aten.detach.default: _drop,
    aten.detach_.default: _drop,
    aten.lift_fresh_copy.default: _drop,
    aten.copy.default: _copied,
    aten.dropout.default: _drop_dropout,
    aten.feature_dropout.default: _drop_dropout,
    aten.alpha_dropout.default: _drop_dropout,
}
