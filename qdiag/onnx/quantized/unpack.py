"""Operators that take and give integers, written as float operators between Q and DQ: one way to say the same."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from qdiag.errors import LoadError
from qdiag.onnx.model import Array, OnnxGraph, OnnxNode, all_nodes

_NODE_SUFFIX, _TENSOR_SUFFIX = "_quant", "_quantized"
"""What onnxruntime puts behind names when it makes such operators."""
_OWN = ("com.microsoft",)


@dataclass(frozen=True)
class _Operand:
    """An input: names of its integers, its scale and its zero point, and the axis of several scales."""

    name: str
    scale: str
    zero_point: str
    axis: int = 0


@dataclass(frozen=True)
class _Unpacked:
    """A float operator with quantized inputs.

    Attributes:
        others: inputs without a scale, by their place. bias: integers at the product of the scales of the first two.
    """

    op: str
    operands: tuple[_Operand, ...]
    scale: str
    zero_point: str
    others: Mapping[int, str]
    bias: str = ""


def unpacked(graph: OnnxGraph) -> OnnxGraph:
    """A graph that computes the same, apart from rounding inside of the operators.

    Raises:
        LoadError: an operator on integers that is not known, or one inside of a branch.
    """
    if not any(map(_is_packed, all_nodes(graph))):
        return graph
    writer = _Writer(graph)
    nodes = [made for node in graph.nodes for made in writer.written(node)]
    return replace(graph, nodes=tuple(nodes), constants=writer.constants)


def is_packed(graph: OnnxGraph) -> bool:
    """It has operators on integers."""
    return any(map(_is_packed, all_nodes(graph)))


class _Writer:
    def __init__(self, graph: OnnxGraph) -> None:
        self.constants: dict[str, Array] = dict(graph.constants)
        self._taken = {name for node in graph.nodes for name in node.outputs} | set(graph.constants)
        self._taken |= {i.name for i in graph.inputs}

    def written(self, node: OnnxNode) -> Iterator[OnnxNode]:
        """The nodes in place of one."""
        if not _is_packed(node):
            if any(map(_is_packed, (inner for graph in node.graphs for inner in all_nodes(graph)))):
                raise LoadError(f"{node.op} {node.name}: operators on integers inside of a branch are not read")
            yield node
            return
        if node.op not in _READERS:
            raise LoadError(
                f"{node.op} {node.name}: this operator on integers is not known",
                hint=f"known are {', '.join(_READERS)}; or quantize the network in the QDQ format",
            )
        parts = _READERS[node.op](node)
        inputs: dict[int, str] = dict(parts.others)
        free = (place for place in range(len(node.inputs)) if place not in inputs)
        for operand, place in zip(parts.operands, free, strict=False):
            inputs[place] = f"{node.name}#{operand.name}"
            names = (operand.name, operand.scale, operand.zero_point)
            yield _node("DequantizeLinear", node, names, inputs[place], axis=operand.axis)
        if parts.bias:
            place = max(inputs) + 1
            inputs[place] = f"{node.name}#{parts.bias}"
            yield _node("DequantizeLinear", node, (parts.bias, self._bias_scale(node, parts)), inputs[place], axis=0)
        output = node.outputs[0]
        result = output if not parts.scale else self._float_name(output)
        attributes = {key: value for key, value in node.attributes.items() if key not in ("channels_last", "opset")}
        arguments = tuple(inputs[place] for place in sorted(inputs))
        yield OnnxNode(parts.op, "", node.name.removesuffix(_NODE_SUFFIX), arguments, (result,), attributes)
        if parts.scale:
            yield _node("QuantizeLinear", node, (result, parts.scale, parts.zero_point), output)

    def _float_name(self, integers: str) -> str:
        bare = integers.removesuffix(_TENSOR_SUFFIX)
        name = bare if bare not in self._taken else f"{integers}#float"
        self._taken.add(name)
        return name

    def _bias_scale(self, node: OnnxNode, parts: _Unpacked) -> str:
        """A constant with the scale of input times weight."""
        scales = [self.constants.get(operand.scale) for operand in parts.operands[:2]]
        if scales[0] is None or scales[1] is None:
            raise LoadError(f"{node.op} {node.name}: its scale is computed by the network")
        name = f"{node.name}#bias_scale"
        self.constants[name] = np.asarray(scales[0] * scales[1], np.float32)
        if self.constants[name].size == 1:
            self.constants[name] = self.constants[name].reshape(())
        return name


def _is_packed(node: OnnxNode) -> bool:
    return (node.op.startswith("QLinear") and node.domain in ("", *_OWN)) or (
        node.op == "QGemm" and node.domain in _OWN
    )


def _node(op: str, near: OnnxNode, inputs: tuple[str, ...], output: str, **attributes: int) -> OnnxNode:
    return OnnxNode(op, "", f"{near.name}/{op}", tuple(inputs), (output,), attributes)


def _input(node: OnnxNode, place: int) -> str:
    return node.inputs[place] if place < len(node.inputs) else ""


def _operand(node: OnnxNode, place: int, axis: int = 0) -> _Operand:
    return _Operand(_input(node, place), _input(node, place + 1), _input(node, place + 2), axis)


def _conv(node: OnnxNode) -> _Unpacked:
    return _Unpacked("Conv", (_operand(node, 0), _operand(node, 3)), *_result(node, 6), {}, _input(node, 8))


def _gemm(node: OnnxNode) -> _Unpacked:
    axis = 0 if node.attributes.get("transB", 0) else 1
    operands = (_operand(node, 0), _operand(node, 3, axis))
    return _Unpacked("Gemm", operands, *_result(node, 7), {}, _input(node, 6))


def _two(op: str, axis: int = 0) -> Callable[[OnnxNode], _Unpacked]:
    return lambda node: _Unpacked(op, (_operand(node, 0), _operand(node, 3, axis)), *_result(node, 6), {})


def _one(op: str) -> Callable[[OnnxNode], _Unpacked]:
    return lambda node: _Unpacked(op, (_operand(node, 0),), *_result(node, 3), {})


def _concat(node: OnnxNode) -> _Unpacked:
    operands = tuple(_operand(node, place) for place in range(2, len(node.inputs), 3))
    return _Unpacked("Concat", operands, *_result(node, 0), {})


def _where(node: OnnxNode) -> _Unpacked:
    return _Unpacked("Where", (_operand(node, 1), _operand(node, 4)), *_result(node, 7), {0: _input(node, 0)})


def _result(node: OnnxNode, place: int) -> tuple[str, str]:
    return _input(node, place), _input(node, place + 1)


_READERS: Mapping[str, Callable[[OnnxNode], _Unpacked]] = {
    "QLinearConv": _conv,
    "QGemm": _gemm,
    "QLinearMatMul": _two("MatMul", 1),
    "QLinearAdd": _two("Add"),
    "QLinearMul": _two("Mul"),
    "QLinearSigmoid": _one("Sigmoid"),
    "QLinearLeakyRelu": _one("LeakyRelu"),
    "QLinearSoftmax": _one("Softmax"),
    "QLinearAveragePool": _one("AveragePool"),
    "QLinearGlobalAveragePool": _one("GlobalAveragePool"),
    "QLinearReduceMean": _one("ReduceMean"),
    "QLinearConcat": _concat,
    "QLinearWhere": _where,
}
"""By operator, how its inputs are ordered."""
