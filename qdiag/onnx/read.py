"""ONNX files, by `onnx-ir`: a protocol buffer with tensors, and nothing in it that runs."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from qdiag.errors import LoadError
from qdiag.onnx.model import Array, OnnxGraph, OnnxInput, OnnxNode

Beside: TypeAlias = Callable[[str, int, int | None], bytes]
"""Reads a part of a file that holds tensors, by its name in the ONNX file: from this byte, so many of them or all."""
OPSET_MIN, OPSET_MAX = 7, 25
_DEPTH_MAX = 16
_DAMAGED_HINT = "it is damaged; copy or save it again"
_CUT_SHORT_HINT = "copy or save it again"
INSTALL_HINT = "pip install 'qdiag[onnx]'"


def parse(content: bytes, at: str, beside: Beside | None = None) -> OnnxGraph:
    """The network of a file.

    Args:
        content: the whole file. beside: reads parts of files that hold tensors.

    Raises:
        LoadError: a damaged file, an older or a newer version of the format, tensors without values, or `onnx-ir` is
            not installed.
    """
    try:
        import onnx
        import onnx_ir
    except ImportError as error:
        raise LoadError(f"reading ONNX files needs the package {_package(error)}", at=at, hint=INSTALL_HINT) from error
    try:
        proto = onnx.ModelProto.FromString(content)
    except Exception as error:  # protobuf's own, which tells of its wire format
        raise LoadError("the ONNX file is cut short or damaged", at=at, hint=_CUT_SHORT_HINT) from error
    try:
        _fill_external(proto, beside)
        model = onnx_ir.from_proto(proto)
        _inline_functions(model)
        opset = int(model.opset_imports.get("", 0))
    except LoadError as error:
        error.at = error.at or at
        raise
    # onnx and protobuf raise what they like on damaged files
    except Exception as error:
        raise LoadError("the ONNX file cannot be read", at=at, hint=_DAMAGED_HINT) from error
    if not OPSET_MIN <= opset <= OPSET_MAX:
        raise LoadError(
            f"the network is written in opset {opset} of ONNX; {OPSET_MIN} to {OPSET_MAX} are read",
            at=at,
            hint="export it again with opset 17, or convert it with onnx.version_converter",
        )
    try:
        return _Reader(opset).graph(model.graph)
    except LoadError as error:
        error.at = at
        raise
    except Exception as error:
        raise LoadError("the ONNX file cannot be read", at=at, hint=_DAMAGED_HINT) from error


def with_tensors(content: bytes, at: str, beside: Beside, *, bytes_max: int) -> bytes:
    """A file with the tensors that stand in other files put into it.

    Raises:
        LoadError: it is damaged, a tensor is not there, or the whole would be larger than `bytes_max`.
    """
    import onnx

    try:
        proto = onnx.ModelProto.FromString(content)
        _fill_external(proto, beside)
        if proto.ByteSize() > bytes_max:
            raise LoadError(f"with its tensors inside it has more than {bytes_max >> 20} MiB, so that it is not run")
        whole: bytes = proto.SerializeToString()
    except LoadError as error:
        error.at = error.at or at
        raise
    except Exception as error:  # onnx and protobuf raise what they like on damaged files
        raise LoadError("the ONNX file cannot be read", at=at, hint=_DAMAGED_HINT) from error
    return whole


def _package(error: ImportError) -> str:
    return {"onnx_ir": "onnx-ir"}.get(str(error.name), str(error.name))


def _inline_functions(model: Any) -> None:
    """Functions that the file defines itself are replaced by their bodies."""
    if model.functions:
        from onnx_ir.passes.common import InlinePass

        InlinePass()(model)


def _fill_external(proto: Any, beside: Beside | None) -> None:
    """Tensors that stand in other files get their bytes."""
    for tensor in _external_tensors(proto):
        where = {entry.key: entry.value for entry in tensor.external_data}
        location = where.get("location", "")
        if beside is None:
            raise LoadError(
                f"the values of {tensor.name} stand in another file, {location!r}",
                hint="save the network with its tensors inside",
            )
        start, length = int(where.get("offset", 0) or 0), int(where.get("length", 0) or 0)
        data = beside(location, start, length or None) if start >= 0 and length >= 0 else b""
        if len(data) < length or start < 0 or length < 0:
            raise LoadError(f"{location} is too short for the values of {tensor.name}", hint=_DAMAGED_HINT)
        tensor.ClearField("external_data")
        tensor.MergeFrom(type(tensor)(raw_data=data, data_location=0))


def _external_tensors(proto: Any) -> Iterator[Any]:
    """Tensors of a model, with those of its nodes and inner graphs, that stand in other files."""
    return (tensor for tensor in _tensors(proto.graph, 0) if tensor.data_location == 1)


def _tensors(graph: Any, depth: int) -> Iterator[Any]:
    if depth > _DEPTH_MAX:
        return
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from ([attribute.t] if attribute.HasField("t") else [])
            yield from attribute.tensors
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _tensors(inner, depth + 1)


class _Reader:
    """Turns what `onnx-ir` holds into plain values; constants of inner graphs get names that are theirs alone."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._constants: dict[str, Array] = {}
        self._depth = 0

    def graph(self, graph: Any) -> OnnxGraph:
        """The whole network."""
        read = self._graph(graph, {})
        return replace(read, constants=self._constants)

    def _graph(self, graph: Any, renamed: dict[str, str]) -> OnnxGraph:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise LoadError(f"graphs are nested deeper than {_DEPTH_MAX} levels", hint=_DAMAGED_HINT)
        for name, value in graph.initializers.items():
            renamed[name] = self._constant(name, value.const_value)
        nodes = []
        for node in graph:
            if node.op_type == "Constant" and not node.domain:
                name = node.outputs[0].name
                renamed[name] = self._constant(name, _constant_of(node))
            else:
                nodes.append(self._node(node, renamed))
        # what loops hand to their bodies need not have a type, and no loop is run
        taken = graph.inputs if self._depth == 1 else ()
        inputs = [_input(value) for value in taken if value.name not in graph.initializers]
        outputs = tuple(renamed.get(str(value.name), str(value.name)) for value in graph.outputs)
        self._depth -= 1
        return OnnxGraph(tuple(nodes), tuple(inputs), outputs, {}, self._opset)

    def _node(self, node: Any, renamed: dict[str, str]) -> OnnxNode:
        outputs = tuple(str(value.name or "") for value in node.outputs)
        inputs = tuple("" if v is None else renamed.get(str(v.name), str(v.name)) for v in node.inputs)
        domain = "" if node.domain == "ai.onnx" else str(node.domain)
        attributes = {name: self._attribute(node, attribute, renamed) for name, attribute in node.attributes.items()}
        name = str(node.name or "") or next((name for name in outputs if name), str(node.op_type))
        return OnnxNode(str(node.op_type), domain, name, inputs, outputs, attributes)

    def _attribute(self, node: Any, attribute: Any, renamed: dict[str, str]) -> Any:
        if attribute.is_ref():
            raise LoadError(f"{node.op_type} {node.name}: its attribute {attribute.name} refers to no function")
        kind, value = attribute.type.name, attribute.value
        if kind == "GRAPH":
            return self._graph(value, dict(renamed))
        if kind == "TENSOR":
            return _array(attribute.name, value)
        if kind in ("INTS", "FLOATS", "STRINGS"):
            return list(value)
        if kind in ("INT", "FLOAT", "STRING"):
            return _numpy_type(value) if attribute.name in ("to", "dtype") and kind == "INT" else value
        raise LoadError(f"{node.op_type} {node.name}: its attribute {attribute.name} is of kind {kind}")

    def _constant(self, name: str, tensor: Any) -> str:
        if tensor is None:
            raise LoadError(f"the tensor {name} has no values", hint=_DAMAGED_HINT)
        own, number = name, 2
        while own in self._constants:
            own, number = f"{name}#{number}", number + 1
        self._constants[own] = _array(name, tensor)
        return own


def _constant_of(node: Any) -> Any:
    """The tensor, or the number or list, of a `Constant`."""
    for key in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        if key in node.attributes:
            value = node.attributes[key].value
            return value if key == "value" else np.asarray(value, np.float32 if "float" in key else np.int64)
    raise LoadError(f"the constant {node.outputs[0].name} is no tensor of numbers")


def _array(name: str, tensor: Any) -> Array:
    """Values as numpy has them; the small float types as float32."""
    array = tensor if isinstance(tensor, np.ndarray | np.generic) else tensor.numpy()
    array = np.asarray(array)
    if array.dtype.kind == "u" and array.dtype not in (np.uint8, np.uint16):
        array = array.astype(np.int64)
    if array.dtype.kind in "fiub" and array.dtype.itemsize <= 8:
        return array.astype(np.float32) if array.dtype.kind == "f" and array.dtype != np.float32 else array
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    raise LoadError(
        f"the tensor {name} holds {array.dtype.name}, which is no float or integer type that is measured",
        hint="give the float network; qdiag quantizes it itself",
    )


def _numpy_type(code: int) -> Any:
    """The type of elements that a number names; float32 for every float type."""
    import onnx_ir

    dtype = np.dtype(onnx_ir.DataType(code).numpy())
    return np.dtype(np.float32) if dtype.kind == "f" or dtype.name == "bfloat16" else dtype


def _input(value: Any) -> OnnxInput:
    if value.dtype is None:
        raise LoadError(f"the input {value.name} is no tensor", hint="a network of tensors can be measured")
    dims = None
    if value.shape is not None:
        # 0, -1 and names stand for sizes that are free
        dims = tuple(d if isinstance(d, int) and d > 0 else None for d in value.shape)
    return OnnxInput(str(value.name), np.dtype(_numpy_type(int(value.dtype))), dims)
