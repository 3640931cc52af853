"""Operators on integers in a file that is edited: other scales where they stand, or the operator taken apart.

Between the operators integers may be moved (`MaxPool`, `Reshape`): what they are moved to has the scale of what they
come from. A tensor in float or in 16 bits has no such operators: those that give and read it are taken apart into Q, DQ
and the float operator, as tools write layers that they leave in float.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qdiag.errors import LoadError, WriteError
from qdiag.onnx.model import Array, OnnxNode
from qdiag.onnx.quantized.file_graph import DEQUANTIZE, QUANTIZE, FileGraph, file_node, plain_node
from qdiag.onnx.quantized.forms import IntegerForm, form_of, is_packed
from qdiag.onnx.quantized.unpack import Unpacker, operand_name

_AXIS_OPSET = 13
"""From which on `DequantizeLinear` has a scale for each channel."""
_JOINING = ("Concat", "Where", "Max", "Min", "Sum")


def form(node: Any) -> IntegerForm | None:
    """The form of an operator on integers; None for any other node."""
    if not is_packed(node.op_type, node.domain):
        return None
    return form_of(node.op_type, len(node.input), plain_node(node).attributes)


def operand_of(graph: FileGraph, name: str) -> tuple[Any, int] | None:
    """The operator on integers and the place of the input whose float values have this name."""
    for node in graph.nodes:
        found = form(node)
        if found is None:
            continue
        plain = plain_node(node)
        places = [*found.operands, *([] if found.bias is None else [found.bias])]
        place = next((one for one in places if one < len(node.input) and operand_name(plain, one) == name), None)
        if place is not None:
            return node, place
    return None


def moved_family(graph: FileGraph, name: str) -> list[str]:
    """A tensor of integers, and those that its integers are moved to.

    Raises:
        WriteError: they are joined with others, or go out of the network.
    """
    family = [name]
    for one in family:
        if one in graph.outputs:
            raise WriteError(f"the integers of {one} go out of the network", at=graph.at)
        for reader in graph.readers(one):
            if reader.op_type == DEQUANTIZE or form(reader) is not None:
                continue
            if reader.op_type in _JOINING or one != reader.input[0]:
                raise WriteError(f"{reader.op_type} {reader.name} joins the integers of {one} with others", at=graph.at)
            family += [output for output in reader.output if output and output not in family]
    return family


def places_of(graph: FileGraph, family: Sequence[str]) -> Iterator[tuple[Any, int]]:
    """Nodes that quantize or dequantize one of these tensors, and where the scale stands among their inputs."""
    maker = graph.made_by(family[0])
    if maker is not None:
        packed = form(maker)
        yield maker, 1 if packed is None else packed.result
    for name in family:
        for reader in graph.readers(name):
            packed = form(reader)
            if packed is not None:
                yield from ((reader, place + 1) for place in packed.operands if reader.input[place] == name)
            elif reader.op_type == DEQUANTIZE:
                yield reader, 1


def put_scale(node: Any, place: int, scale: str, zero_point: str) -> None:
    """Names other constants as scale and zero point."""
    while len(node.input) < place + 2:
        node.input.append("")
    node.input[place], node.input[place + 1] = scale, zero_point


def unpack(graph: FileGraph, node: Any) -> None:
    """Writes Q, DQ and the float operator in place of an operator on integers.

    Raises:
        WriteError: scales for each channel in an opset that has none outside of such operators.
    """
    constants = graph.constants()
    taken = {name for one in graph.nodes for name in (*one.input, *one.output)}
    unpacker = Unpacker(constants, taken)
    try:
        made = list(unpacker.nodes(plain_node(node)))
    except LoadError as error:
        raise WriteError(error.message, at=graph.at) from error
    many = [one for one in made if one.op == DEQUANTIZE and unpacker.constants.get(one.inputs[1], np.zeros(1)).size > 1]
    if many and graph.opset < _AXIS_OPSET:
        raise WriteError(
            f"{node.op_type} {node.name} has a scale for each channel, and cannot be left in float in opset "
            f"{graph.opset}",
            at=graph.at,
            hint="convert the float network to opset 13 or later, and quantize it again",
        )
    for name in unpacker.constants.keys() - constants.keys():
        graph.put(name, unpacker.constants[name])
    if graph.opset < _AXIS_OPSET:
        made = [_without_axis(one) for one in made]
    graph.insert(node, [file_node(one) for one in made])
    graph.nodes.remove(node)


def float_family(graph: FileGraph, name: str) -> str:
    """A tensor of integers, and what they are moved to, in float: no Q and no DQ are left; the name of the values.

    Raises:
        WriteError: see `moved_family` and `unpack`.
    """
    family = moved_family(graph, name)
    for one in family:
        for node in [node for node in graph.readers(one) if form(node) is not None]:
            unpack(graph, node)
    maker = graph.made_by(name)
    if maker is not None and form(maker) is not None:
        unpack(graph, maker)
        maker = graph.made_by(name)
    if maker is None or maker.op_type != QUANTIZE:
        raise WriteError(f"nothing quantizes {name}", at=graph.at, hint="the file is another one by now")
    _float_paddings(graph, family, maker)
    values, names = maker.input[0], {name: maker.input[0]}
    for one in family:
        for reader in [node for node in graph.readers(one) if node.op_type == DEQUANTIZE]:
            names[reader.output[0]] = names.get(one, one)
            if reader.output[0] in graph.outputs:
                same = file_node(plain_node(reader))
                same.op_type, same.domain = "Identity", ""
                del same.input[1:], same.attribute[:]
                graph.insert(reader, [same])
            graph.nodes.remove(reader)
    graph.nodes.remove(maker)
    graph.rename_readers(names)
    return str(values)


def requantize_paddings(graph: FileGraph, family: Sequence[str], scale: Array, zero_point: Array) -> None:
    """The number that is padded with stands for the same value at another scale."""
    for node, value in _paddings(graph, family):
        maker = graph.made_by(family[0])
        old_scale, old_zero = _numbers(graph, maker)
        ends = np.iinfo(zero_point.dtype)
        real = (float(value) - old_zero) * old_scale
        number = np.clip(np.round(real / float(scale)) + int(zero_point), ends.min, ends.max)
        _put_padding(graph, node, np.asarray(number, zero_point.dtype))


def _float_paddings(graph: FileGraph, family: Sequence[str], maker: Any) -> None:
    scale, zero = _numbers(graph, maker)
    for node, value in _paddings(graph, family):
        _put_padding(graph, node, np.asarray((float(value) - zero) * scale, np.float32))


def _paddings(graph: FileGraph, family: Sequence[str]) -> Iterator[tuple[Any, Array]]:
    constants = graph.constants()
    for name in family:
        for node in graph.readers(name):
            if node.op_type != "Pad" or plain_node(node).attributes.get("mode", b"constant") != b"constant":
                continue
            given = node.input[2] if len(node.input) > 2 else ""
            if given and given not in constants:
                raise WriteError(f"Pad {node.name} pads with a number that the network computes", at=graph.at)
            yield node, constants[given].reshape(()) if given else np.zeros((), np.uint8)


def _put_padding(graph: FileGraph, node: Any, value: Array) -> None:
    while len(node.input) < 3:
        node.input.append("")
    node.input[2] = f"{node.output[0]}_padding_repaired"
    graph.put(node.input[2], value)


def _numbers(graph: FileGraph, maker: Any) -> tuple[float, int]:
    packed, constants = form(maker), graph.constants()
    place = 1 if packed is None else packed.result
    zero = constants.get(maker.input[place + 1]) if len(maker.input) > place + 1 else None
    return float(constants[maker.input[place]]), 0 if zero is None else int(zero)


def _without_axis(node: OnnxNode) -> OnnxNode:
    return replace(node, attributes={key: v for key, v in node.attributes.items() if key != "axis"})
