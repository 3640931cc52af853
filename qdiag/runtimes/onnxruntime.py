"""onnxruntime on the CPU: QDQ files with their integer kernels, and how many of its operations are in float."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qdiag.core.measures.deployed.operations import FloatOperation, RuntimeOperations
from qdiag.errors import DataError, LoadError, first_line
from qdiag.onnx.ends.file import cut_file
from qdiag.runtimes.base import Array, IntegerTensor, RuntimeResult

INSTALL_HINT = "pip install 'qdiag[onnx,ort]'"
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
_LAYOUT_MARK, _BLOCKED_MARK = "_token_", "_nchwc"
"""What onnxruntime puts behind a name when it changes the layout of the tensors; the second one in float."""
_FUSED_MARK = "fused "
"""What it puts before the name of a layer that it has fused an activation with."""
_INTEGER = ("QLinear", "QGemm", "QEmbed", "QAttention", "ConvInteger", "MatMulInteger", "DynamicQuantize", "QMoE")


@dataclass(frozen=True)
class OnnxruntimeNetwork:
    """A file in onnxruntime, see `DeployedNetwork`; of a detector the part up to its non-maximum suppression.

    Attributes:
        threads: that compute one operation; None leaves that to onnxruntime.
        is_optimized: False runs every node of the file as it stands, in float between the integers.
    """

    content: bytes
    at: str = ""
    threads: int | None = 1
    is_optimized: bool = True

    @property
    def runtime(self) -> str:
        """Name and version."""
        return f"onnxruntime {self._package.__version__}"

    @property
    def inputs(self) -> tuple[str, ...]:
        known = {tensor.name for tensor in self._model.graph.initializer}
        return tuple(one.name for one in self._model.graph.input if one.name not in known)

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(one.name for one in self._model.graph.output)

    @property
    def batch_size(self) -> int | None:
        first = (
            next((one for one in self._model.graph.input if one.name == self.inputs[0]), None) if self.inputs else None
        )
        dims = first.type.tensor_type.shape.dim if first is not None else ()
        size = int(dims[0].dim_value) if dims else 0
        return size if size > 0 else None  # some exporters write -1 for a size that is free

    @cached_property
    def tensors(self) -> Mapping[str, IntegerTensor]:
        """Outputs of QuantizeLinear that are no weights, and of operators that give integers (`QLinearConv`)."""
        constants = self._constants
        found: dict[str, IntegerTensor] = {}
        for node in self._model.graph.node:
            if node.op_type == _DEQUANTIZE and node.input[0] in found:
                tensor = found[node.input[0]]
                found[tensor.name] = replace(tensor, floats=(*tensor.floats, node.output[0]))
            place = 1 if node.op_type == _QUANTIZE else SCALE_PLACES.get(node.op_type)
            if place is None or (node.input[0] in constants and node.op_type == _QUANTIZE):
                continue
            if len(node.input) > place and node.input[place] in constants:
                found[node.output[0]] = _integer_tensor(node, constants, place)
        return found

    def run(self, inputs: Mapping[str, Array], integers: Sequence[str] = ()) -> RuntimeResult:
        """See `DeployedNetwork`."""
        wanted = tuple(integers)
        session = self._exposing[wanted] if wanted in self._exposing else self._open(wanted)
        self._exposing.clear()
        self._exposing[wanted] = session
        names = [*self.outputs, *(name for name in wanted if name not in self.outputs)]
        try:
            values = session.run(names, {name: inputs[name] for name in self.inputs})
        except KeyError as error:
            raise DataError(f"nothing is given for the input {error}", at=self.at) from error
        # onnxruntime raises exceptions of its own kinds
        except Exception as error:
            raise DataError(f"onnxruntime refuses the batch: {first_line(error)}", at=self.at) from error
        by_name = dict(zip(names, values, strict=True))
        return RuntimeResult({n: by_name[n] for n in self.outputs}, {n: by_name[n] for n in wanted})

    def operations(self) -> RuntimeOperations:
        """Of the graph that onnxruntime makes of the file with all optimizations."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "optimized.onnx"
            self._session(self._content, str(path))
            graph = self._onnx.load(str(path), load_external_data=False).graph
        names = {output: node.name for node in self._model.graph.node for output in node.output if node.name}
        return _operations(self.runtime, graph, names)

    def _open(self, integers: Sequence[str]) -> Any:
        if not integers:
            return self._session(self._content)
        model, tensors = self._onnx.ModelProto.FromString(self._content), self.tensors
        for name in integers:
            if name not in tensors:
                raise DataError(f"the file holds no activation of integers under the name {name!r}", at=self.at)
            kind = self._onnx.helper.np_dtype_to_tensor_dtype(tensors[name].dtype)
            if name not in self.outputs:
                model.graph.output.append(self._onnx.helper.make_tensor_value_info(name, kind, None))
        return self._session(model.SerializeToString())

    def _session(self, content: bytes, optimized: str | None = None) -> Any:
        ort = self._package
        options = ort.SessionOptions()
        options.log_severity_level = 4
        levels = ort.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if self.is_optimized else levels.ORT_DISABLE_ALL
        # without it int8 activations are computed in float, and nothing says so
        options.add_session_config_entry("session.qdqisint8allowed", "1")
        if self.threads is not None:
            options.intra_op_num_threads = options.inter_op_num_threads = self.threads
        if optimized is not None:
            options.optimized_model_filepath = optimized
        try:
            return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        # onnxruntime raises exceptions of its own kinds
        except Exception as error:
            raise LoadError(f"onnxruntime does not take the file: {first_line(error)}", at=self.at) from error

    @cached_property
    def _exposing(self) -> dict[tuple[str, ...], Any]:
        return {}

    @cached_property
    def _model(self) -> Any:
        """The part of the file that is measured: a detector up to its non-maximum suppression."""
        return cut_file(self._whole, self.at)

    @cached_property
    def _content(self) -> bytes:
        content: bytes = self.content if self._model is self._whole else self._model.SerializeToString()
        return content

    @cached_property
    def _whole(self) -> Any:
        try:
            return self._onnx.ModelProto.FromString(self.content)
        # protobuf raises what it likes on damaged files
        except Exception as error:
            raise LoadError(f"it is no ONNX file: {first_line(error)}", at=self.at) from error

    @cached_property
    def _constants(self) -> dict[str, Array]:
        to_array = self._onnx.numpy_helper.to_array
        found = {tensor.name: to_array(tensor) for tensor in self._model.graph.initializer}
        for node in self._model.graph.node:
            if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
                found[node.output[0]] = to_array(node.attribute[0].t)
        return found

    @cached_property
    def _package(self) -> Any:
        try:
            import onnxruntime
        except ImportError as error:
            raise LoadError("running the file needs the package onnxruntime", hint=INSTALL_HINT) from error
        return onnxruntime

    @cached_property
    def _onnx(self) -> Any:
        try:
            import onnx
        except ImportError as error:
            raise LoadError("running the file needs the package onnx", hint=INSTALL_HINT) from error
        return onnx


SCALE_PLACES = {
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QLinearAdd", "QLinearMul"), 6),
    **dict.fromkeys(("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax"), 3),
    **dict.fromkeys(("QLinearAveragePool", "QLinearGlobalAveragePool"), 3),
    "QGemm": 7,
    "QLinearConcat": 0,
}
"""Operators that give integers, and which of their inputs is the scale of these; the zero point follows it."""


def _integer_tensor(node: Any, constants: Mapping[str, Array], place: int) -> IntegerTensor:
    scale = np.asarray(constants[node.input[place]], np.float32)
    has_zero_point = len(node.input) > place + 1 and node.input[place + 1] in constants
    zero_point = constants[node.input[place + 1]] if has_zero_point else np.zeros(scale.shape, np.uint8)
    axis = next((int(a.i) for a in node.attribute if a.name == "axis"), 1) if scale.size > 1 else None
    floats = (node.input[0],) if node.op_type == _QUANTIZE else ()
    return IntegerTensor(node.output[0], zero_point.dtype, scale, zero_point.astype(np.int64), axis, floats)


def _operations(runtime: str, graph: Any, names: Mapping[str, str]) -> RuntimeOperations:
    """Integer operators by their names; what moves values counts by the type of what it moves.

    Args:
        names: of the nodes of the file, by what they give: onnxruntime names some after that.
    """
    held = {tensor.name for tensor in graph.initializer}
    sizes = {tensor.name for tensor in graph.initializer if tensor.data_type == _INT64}
    integers = {tensor.name for tensor in graph.initializer if tensor.data_type in _EIGHT_BIT_TYPES}
    integer, moving = Counter[str](), Counter[str]()
    floating: list[FloatOperation] = []
    for node in graph.node:
        data = [name for name in node.input if name and name not in held]
        if node.op_type == _QUANTIZE or node.op_type.startswith(_INTEGER):
            integers.update(node.output)
            if node.op_type != _QUANTIZE:
                integer[node.op_type] += 1
        elif node.op_type == _DEQUANTIZE:
            continue
        elif node.op_type == "Shape" or sizes.issuperset(name for name in node.input if name):
            sizes.update(node.output)
        elif data and data[0] in integers:
            integers.update(node.output)
            moving[node.op_type] += 1
        elif node.op_type not in _MOVING and (node.op_type, len(node.input)) != _NOTHING_DONE:
            name = plain_name(node.name or node.output[0])
            floating.append(FloatOperation(node.op_type, names.get(name, name)))
    return RuntimeOperations(runtime, dict(integer), dict(moving), tuple(floating))


_EIGHT_BIT_TYPES, _INT64 = (2, 3), 7
_RELAID = frozenset(("ReorderInput", "ReorderOutput"))
_MOVING = _RELAID | {"Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Expand", "Flatten", "Cast"}
"""Operators that compute nothing, whatever type they move."""
_NOTHING_DONE = ("Max", 1)
"""With which exporters of this project keep a layer in float."""


def plain_name(name: str) -> str:
    """The name in the file of a node that onnxruntime has renamed for another layout."""
    front, mark, number = name.rpartition(_LAYOUT_MARK)
    return (front if mark and number.isdigit() else name).removesuffix(_BLOCKED_MARK).removeprefix(_FUSED_MARK)
