"""Operators that take and give integers, written as float operators between Q and DQ: one way to say the same."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from qdiag.errors import LoadError
from qdiag.onnx.model import Array, OnnxGraph, OnnxNode, all_nodes
from qdiag.onnx.quantized.forms import KNOWN, IntegerForm, form_of
from qdiag.onnx.quantized.forms import is_packed as is_packed_op

_NODE_SUFFIX, INTEGERS_SUFFIX = "_quant", "_quantized"
"""What onnxruntime puts behind names when it makes such operators."""
_FLOAT_SUFFIX = "#float"
"""Behind the name of integers whose own name without a suffix is that of another tensor."""
_DROPPED = ("channels_last", "opset")


def unpacked(graph: OnnxGraph) -> OnnxGraph:
    """A graph that computes the same, apart from rounding inside of the operators.

    Raises:
        LoadError: an operator on integers that is not known, or one inside of a branch.
    """
    if not is_packed(graph):
        return graph
    taken = {name for node in graph.nodes for name in node.outputs} | set(graph.constants)
    unpacker = Unpacker(graph.constants, taken | {i.name for i in graph.inputs})
    nodes = [made for node in graph.nodes for made in _written(unpacker, node)]
    return replace(graph, nodes=tuple(nodes), constants=unpacker.constants)


def name_in_file(name: str) -> str:
    """Of a tensor that has no name in float in the file: that of its integers."""
    return name.removesuffix(_FLOAT_SUFFIX)


def is_packed(graph: OnnxGraph) -> bool:
    """It has operators on integers."""
    return any(map(_is_packed, all_nodes(graph)))


def _written(unpacker: "Unpacker", node: OnnxNode) -> Iterator[OnnxNode]:
    """The nodes in place of one."""
    if _is_packed(node):
        yield from unpacker.nodes(node)
    elif any(map(_is_packed, (inner for graph in node.graphs for inner in all_nodes(graph)))):
        raise LoadError(f"{node.op} {node.name}: operators on integers inside of a branch are not read")
    else:
        yield node


class Unpacker:
    """Takes operators apart.

    Args:
        constants: of the graph; a scale of each bias is added. taken: names that are used already.
    """

    def __init__(self, constants: Mapping[str, Array], taken: set[str]) -> None:
        self.constants: dict[str, Array] = dict(constants)
        self._taken = taken

    def nodes(self, node: OnnxNode) -> Iterator[OnnxNode]:
        """A `DequantizeLinear` for each operand, the float operator, and a `QuantizeLinear`.

        Raises:
            LoadError: an operator that is not known, channels that come last, or a scale that is computed.
        """
        form = form_of(node.op, len(node.inputs), node.attributes)
        if form is None:
            raise LoadError(
                f"{node.op} {node.name}: this operator on integers is not known",
                hint=f"known are {', '.join(KNOWN)}; or quantize the network in the QDQ format",
            )
        if node.attributes.get("channels_last", 0):
            raise LoadError(
                f"{node.op} {node.name}: its channels come last",
                hint="save the network before a runtime has optimized it",
            )
        inputs = {place: _input(node, source) for place, source in (form.others or {}).items()}
        free = (place for place in range(len(node.inputs)) if place not in inputs)
        for number, (operand, place) in enumerate(zip(form.operands, free, strict=False)):
            inputs[place] = operand_name(node, operand)
            names = tuple(_input(node, operand + offset) for offset in range(3))
            yield _node("DequantizeLinear", names, inputs[place], axis=form.axis if number == 1 else 0)
        if form.bias is not None and _input(node, form.bias):
            place = max(inputs) + 1
            inputs[place] = operand_name(node, form.bias)
            names = (_input(node, form.bias), self._bias_scale(node, form))
            yield _node("DequantizeLinear", names, inputs[place], axis=0)
        output = node.outputs[0]
        result = output if not _input(node, form.result) else self._float_name(output)
        attributes = {key: value for key, value in node.attributes.items() if key not in _DROPPED}
        arguments = tuple(inputs[place] for place in sorted(inputs))
        yield OnnxNode(form.op, "", node.name.removesuffix(_NODE_SUFFIX), arguments, (result,), attributes)
        if result != output:
            ends = (_input(node, form.result), _input(node, form.result + 1))
            yield _node("QuantizeLinear", (result, *ends), output)

    def _float_name(self, integers: str) -> str:
        bare = integers.removesuffix(INTEGERS_SUFFIX)
        name = bare if bare not in self._taken else f"{integers}{_FLOAT_SUFFIX}"
        self._taken.add(name)
        return name

    def _bias_scale(self, node: OnnxNode, form: IntegerForm) -> str:
        """A constant with the scale of input times weight."""
        scales = [self.constants.get(_input(node, operand + 1)) for operand in form.operands[:2]]
        if scales[0] is None or scales[1] is None:
            raise LoadError(f"{node.op} {node.name}: its scale is computed by the network")
        name = f"{node.name}#bias_scale"
        self.constants[name] = np.asarray(scales[0] * scales[1], np.float32)
        if self.constants[name].size == 1:
            self.constants[name] = self.constants[name].reshape(())
        return name


def operand_name(node: OnnxNode, place: int) -> str:
    """What the float values of an input are called."""
    return f"{node.name}#{_input(node, place)}"


def _is_packed(node: OnnxNode) -> bool:
    return is_packed_op(node.op, node.domain)


def _node(op: str, inputs: tuple[str, ...], output: str, **attributes: int) -> OnnxNode:
    return OnnxNode(op, "", f"{output}/{op}", inputs, (output,), attributes)


def _input(node: OnnxNode, place: int) -> str:
    return node.inputs[place] if place < len(node.inputs) else ""
