"""A LiteRT network rewritten in the operators of ONNX, for any number of samples where it holds for any."""

from dataclasses import replace

import numpy as np

from qdiag.errors import QdiagError
from qdiag.litert.call import Call
from qdiag.litert.ends import without_end
from qdiag.litert.model import LiteGraph, LiteOperator
from qdiag.litert.operators import OPERATORS
from qdiag.litert.writer import FixedBatchError, Writer
from qdiag.onnx.model import OnnxGraph, OnnxInput

_OPSET = 20
_ONE_READ = {"RESHAPE": (0,), "RESIZE_BILINEAR": (0,), "RESIZE_NEAREST_NEIGHBOR": (0,), "BROADCAST_TO": (0,)}
"""Operators whose sizes are taken from the declared shape of their output; what computes them is not needed."""


def rewritten(source: LiteGraph) -> OnnxGraph:
    """The network in operators of ONNX; for any number of samples where it holds for any."""
    counts = {source.tensors[place].shape[:1] for place in source.inputs}
    if counts == {(1,)}:
        try:
            return _written(source, is_free=True)
        except FixedBatchError:
            pass
    return _written(source, is_free=False)


def image_places(source: LiteGraph) -> frozenset[int]:
    """Tensors of four axes whose channels come first in the network that is read.

    None of them where the file has operators that are not known.
    """
    try:
        graph = needed(source)
        writer = Writer(graph, is_free=False)
        _write(writer, graph)
    # what the runtime takes need not be read
    except (QdiagError, ValueError, TypeError, IndexError, KeyError, AssertionError, ZeroDivisionError):
        return frozenset()
    return frozenset(writer.images)


def laid_out(source: LiteGraph) -> Writer:
    """What became of each tensor of the file: where its integers are known, and how constants are laid out.

    Raises:
        LoadError: as reading the network does.
    """
    graph = needed(source)
    writer = Writer(graph, is_free=False)
    _write(writer, graph)
    return writer


def _written(source: LiteGraph, *, is_free: bool) -> OnnxGraph:
    writer = Writer(source, is_free=is_free)
    inputs = _write(writer, source)
    outputs = tuple(writer.read(place, "first" if writer.has(place, "first") else "last") for place in source.outputs)
    return OnnxGraph(tuple(writer.nodes), tuple(inputs), outputs, writer.constants, _OPSET, writer.forms)


def _write(writer: Writer, source: LiteGraph) -> list[OnnxInput]:
    """Everything from the inputs on; what the network takes."""
    inputs = []
    for place in source.inputs:
        tensor = source.tensors[place]
        shape = tensor.shape if len(tensor.shape) != 4 else tuple(tensor.shape[axis] for axis in (0, 3, 1, 2))
        dims = (None, *shape[1:]) if writer.is_free else shape
        kind = np.dtype(np.float32) if tensor.quantization is not None else tensor.dtype
        inputs.append(OnnxInput(writer.enter(place, "first"), kind, dims))
        writer.sampled.add(place)
    writer.settle()
    for operator in source.operators:
        call = Call(operator, writer)
        OPERATORS[operator.kind](call)
        writer.settle()
        if call.is_sampled:
            writer.sampled.update(operator.outputs)
    return inputs


def needed(source: LiteGraph) -> LiteGraph:
    """Without operators that lead to no output, and without DEQUANTIZE of constants, which are read as numbers.

    Without what stands behind the cut of a detector, too.

    Raises:
        LoadError: there is none, see `without_end`.
    """
    source = _without_constants(without_end(source)[0])
    wanted = set(source.outputs)
    kept = []
    for operator in reversed(source.operators):
        if any(place in wanted for place in operator.outputs):
            kept.append(operator)
            read = operator.inputs
            wanted.update(read[index] for index in _ONE_READ.get(operator.kind, range(len(read))) if index < len(read))
    return replace(source, operators=tuple(reversed(kept)))


def _without_constants(source: LiteGraph) -> LiteGraph:
    """Files with weights of float16 or int8 have DEQUANTIZE behind each: others read the constant itself."""
    known = {
        operator.outputs[0]: operator.inputs[0]
        for operator in source.operators
        if operator.kind == "DEQUANTIZE" and _is_constant(source, operator)
    }
    if not known:
        return source
    kept = tuple(
        replace(operator, inputs=tuple(known.get(place, place) for place in operator.inputs))
        for operator in source.operators
        if not (operator.kind == "DEQUANTIZE" and operator.outputs[0] in known)
    )
    return replace(source, operators=kept, outputs=tuple(known.get(place, place) for place in source.outputs))


def _is_constant(source: LiteGraph, operator: LiteOperator) -> bool:
    places = (*operator.inputs[:1], *operator.outputs[:1])
    return len(places) == 2 and places[0] >= 0 and source.tensors[places[0]].data is not None
