"""Operators that onnxruntime puts together when it optimizes a file, taken apart again into those of ONNX."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from qdiag.errors import LoadError
from qdiag.onnx.model import Array, OnnxGraph, OnnxNode, all_nodes

_OWN = "com.microsoft"
_QUICK_GELU_ALPHA = 1.702
_ACTIVATIONS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("Relu", "Tanh", "Sigmoid"), ()),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
    "Clip": ("min", "max"),
}
"""Names of the numbers that an activation has."""


def unfused(graph: OnnxGraph) -> OnnxGraph:
    """A graph that computes the same; operators in branches stay.

    Raises:
        LoadError: one of them has an activation that is not known.
    """
    if not any(node.domain == _OWN and node.op in _FORMS for node in all_nodes(graph)):
        return graph
    writer = _Writer(dict(graph.constants))
    for node in graph.nodes:
        form = _FORMS.get(node.op) if node.domain == _OWN else None
        if form is None:
            writer.nodes.append(node)
        else:
            form(writer, node)
    return replace(graph, nodes=tuple(writer.nodes), constants=writer.constants)


@dataclass
class _Writer:
    constants: dict[str, Array]
    nodes: list[OnnxNode] = field(default_factory=list)

    def add(self, node: OnnxNode, op: str, inputs: tuple[str, ...], output: str = "", **attributes: Any) -> str:
        """A node beside the one that is taken apart; the last one, which gives its output, has its name."""
        made = output or f"{node.name}/{op}_{len(self.nodes)}"
        name = node.name if output else made
        self.nodes.append(OnnxNode(op, "", name, inputs, (made,), attributes))
        return made

    def number(self, node: OnnxNode, value: float) -> str:
        name = f"{node.name}#{value:g}"
        self.constants[name] = np.asarray(value, np.float32)
        return name

    def activated(self, node: OnnxNode, x: str) -> str:
        """Behind the activation that the attributes of a convolution name."""
        op = str(node.attributes.get("activation", ""))
        names = _ACTIVATIONS.get(op)
        if names is None:
            raise LoadError(f"{node.kind} {node.name}: its activation {op} is not known")
        numbers = [float(one) for one in node.attributes.get("activation_params", [])]
        if op == "Clip":
            bounds = tuple(self.number(node, one) for one in numbers)
            return self.add(node, op, (x, *bounds), node.outputs[0])
        return self.add(node, op, (x,), node.outputs[0], **dict(zip(names, numbers, strict=False)))


def _inputs(node: OnnxNode, first: int, last: int) -> tuple[str, ...]:
    return tuple(name for name in node.inputs[first:last])


def _has(node: OnnxNode, place: int) -> bool:
    return len(node.inputs) > place and bool(node.inputs[place])


def _plain(node: OnnxNode, dropped: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in node.attributes.items() if key not in dropped}


def _conv(writer: _Writer, node: OnnxNode) -> None:
    """A convolution, a tensor that is added to it, and an activation."""
    attributes = _plain(node, ("activation", "activation_params"))
    has_activation = bool(node.attributes.get("activation"))
    is_last = not has_activation and not _has(node, 3)
    x = writer.add(node, "Conv", _inputs(node, 0, 3), node.outputs[0] if is_last else "", **attributes)
    if _has(node, 3):
        x = writer.add(node, "Add", (x, node.inputs[3]), "" if has_activation else node.outputs[0])
    if has_activation:
        writer.activated(node, x)


def _gemm(writer: _Writer, node: OnnxNode) -> None:
    dropped = ("activation", "activation_alpha", "activation_beta", "activation_gamma")
    x = writer.add(node, "Gemm", node.inputs, **_plain(node, dropped))
    numbers = [node.attributes[name] for name in dropped[1:3] if name in node.attributes]
    writer.activated(replace(node, attributes={**node.attributes, "activation_params": numbers}), x)


def _matmul(writer: _Writer, node: OnnxNode) -> None:
    """`alpha A B`, either of them with its last two axes changed."""
    if node.attributes.get("transBatchA", 0) or node.attributes.get("transBatchB", 0):
        raise LoadError(f"{node.kind} {node.name}: axes of its batch change places, which is not computed")
    sides = [
        writer.add(node, "Einsum", (name,), equation="...ij->...ji") if node.attributes.get(key, 0) else name
        for name, key in zip(node.inputs, ("transA", "transB"), strict=True)
    ]
    alpha = float(node.attributes.get("alpha", 1.0))
    x = writer.add(node, "MatMul", tuple(sides), "" if alpha != 1.0 else node.outputs[0])
    if alpha != 1.0:
        writer.add(node, "Mul", (x, writer.number(node, alpha)), node.outputs[0])


def _gelu(approximate: str) -> Callable[[_Writer, OnnxNode], None]:
    def write(writer: _Writer, node: OnnxNode) -> None:
        x = writer.add(node, "Add", _inputs(node, 0, 2)) if _has(node, 1) else node.inputs[0]
        writer.add(node, "Gelu", (x,), node.outputs[0], approximate=approximate)

    return write


def _quick_gelu(writer: _Writer, node: OnnxNode) -> None:
    x, alpha = node.inputs[0], float(node.attributes.get("alpha", _QUICK_GELU_ALPHA))
    scaled = writer.add(node, "Mul", (x, writer.number(node, alpha))) if alpha != 1.0 else x
    writer.add(node, "Mul", (x, writer.add(node, "Sigmoid", (scaled,))), node.outputs[0])


def _skip_norm(op: str, bias: int) -> Callable[[_Writer, OnnxNode], None]:
    """The sum of two tensors, and a bias, normalized; the sum may be an output too."""

    def write(writer: _Writer, node: OnnxNode) -> None:
        total = node.outputs[3] if len(node.outputs) > 3 else ""
        if any(node.outputs[1:3]):
            raise LoadError(f"{node.kind} {node.name}: its mean and deviation are not given out")
        names = list(_terms(node, bias))
        x = names[0]
        for place, name in enumerate(names[1:], 1):
            output = total if place == len(names) - 1 else ""
            made = output or f"{node.name}/Add_{place}"
            writer.nodes.append(OnnxNode("Add", "", f"{node.name}/Add_{place}", (x, name), (made,), {}))
            x = made
        attributes = {"epsilon": node.attributes.get("epsilon", 1e-12), "axis": -1}
        parameters = tuple(name for name in node.inputs[2:bias] if name)
        writer.add(node, op, (x, *parameters), node.outputs[0], **attributes)

    return write


def _terms(node: OnnxNode, bias: int) -> Iterator[str]:
    yield from node.inputs[:2]
    if _has(node, bias):
        yield node.inputs[bias]


_FORMS: Mapping[str, Callable[[_Writer, OnnxNode], None]] = {
    "FusedConv": _conv,
    "FusedGemm": _gemm,
    "FusedMatMul": _matmul,
    "Gelu": _gelu("none"),
    "BiasGelu": _gelu("none"),
    "FastGelu": _gelu("tanh"),
    "QuickGelu": _quick_gelu,
    "SkipLayerNormalization": _skip_norm("LayerNormalization", 4),
    "SkipSimplifiedLayerNormalization": _skip_norm("RMSNormalization", 3),
}
