"""Pairs of `quantized_decomposed.quantize_...` and `dequantize_...`, as PyTorch 2 export quantization writes them.

A pair is one operation of fake quantization. A weight may be stored as integers: then `dequantize_...` stands alone.
"""

from collections.abc import Container

import torch
from torch import fx

from qdiag.errors import CaptureError

NAMESPACE = "quantized_decomposed"
_PER_TENSOR, _PER_CHANNEL = "per_tensor", "per_channel"
_KNOWN = tuple(f"{kind}_{what}" for kind in ("quantize", "dequantize") for what in (_PER_TENSOR, _PER_CHANNEL))
_OF_RANGES = ("choose_qparams", "choose_qparams_symmetric")
"""A scale that is computed from values, for a quantizer whose range is none that is stored."""


def is_decomposed(node: fx.Node) -> bool:
    """Whether it is an operation of this namespace."""
    return node.op == "call_function" and str(getattr(node.target, "namespace", "")) == NAMESPACE


def is_per_channel(node: fx.Node) -> bool:
    """Of a quantizer or its inverse."""
    return _name(node).endswith(_PER_CHANNEL)


def is_dequantizer(node: fx.Node) -> bool:
    """Whether it makes floats of integers."""
    return is_decomposed(node) and _name(node).startswith("dequantize_")


def quantizer_of(node: fx.Node) -> fx.Node | None:
    """The quantizer whose integers a dequantizer reads with the same scale and bounds; None where it reads others."""
    source = node.args[0]
    if not isinstance(source, fx.Node) or not is_decomposed(source) or _name(source) not in _KNOWN[:2]:
        return None
    return source if source.args[1:] == node.args[1:] else None


def check_pairs(graph: fx.Graph, constants: Container[str]) -> None:
    """All operations of this namespace are fake quantization.

    Args:
        constants: names of the placeholders of tensors that the model holds.

    Raises:
        CaptureError: one is something else.
    """
    reason = _other_use(graph, constants)
    if reason is not None:
        raise CaptureError(
            f"the network is quantized already: {reason}",
            hint="give the float model, or the program with a quantizer and its inverse around every integer, as "
            "convert_pt2e leaves it",
        )


def _other_use(graph: fx.Graph, constants: Container[str]) -> str | None:
    for node in graph.nodes:
        if not is_decomposed(node) or _name(node) in _OF_RANGES:
            continue
        if _name(node) not in _KNOWN:
            return f"it calls {node.target}"
        if is_dequantizer(node):
            source = node.args[0]
            if quantizer_of(node) is None and not (isinstance(source, fx.Node) and source.name in constants):
                return f"{node.target} reads integers that no quantizer with its scale gave"
        elif not all(is_dequantizer(user) for user in node.users):
            return f"integers of {node.target} are read as they are"
    return None


def _name(node: fx.Node) -> str:
    return node.target._schema.name.partition("::")[2] if isinstance(node.target, torch._ops.OpOverload) else ""
