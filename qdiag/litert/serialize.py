"""A network as the bytes of a LiteRT file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qdiag.errors import ConfigError
from qdiag.litert.model import LiteGraph, LiteOperator, LiteTensor
from qdiag.litert.read import INSTALL_HINT

OPTIONS: Mapping[str, str] = {
    "ADD": "AddOptions",
    "ARG_MAX": "ArgMaxOptions",
    "ARG_MIN": "ArgMinOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "CAST": "CastOptions",
    "CONCATENATION": "ConcatenationOptions",
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "DIV": "DivOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "GATHER": "GatherOptions",
    "GELU": "GeluOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "LOCAL_RESPONSE_NORMALIZATION": "LocalResponseNormalizationOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "MIRROR_PAD": "MirrorPadOptions",
    "MUL": "MulOptions",
    "PACK": "PackOptions",
    "REDUCE_MAX": "ReducerOptions",
    "REDUCE_MIN": "ReducerOptions",
    "REDUCE_PROD": "ReducerOptions",
    "RESHAPE": "ReshapeOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SOFTMAX": "SoftmaxOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "SQUEEZE": "SqueezeOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SUB": "SubOptions",
    "SUM": "ReducerOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "UNPACK": "UnpackOptions",
}
"""The table of options of operators that have some."""
_VERSIONS: Mapping[str, int] = {
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "TRANSPOSE_CONV": 3,
    "ADD": 2,
    "SUB": 2,
    "MUL": 2,
    "CONCATENATION": 2,
    "AVERAGE_POOL_2D": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "PAD": 2,
    "PADV2": 2,
    "SOFTMAX": 2,
    "LOGISTIC": 2,
    "TANH": 2,
    "RELU": 2,
    "RELU6": 2,
    "LEAKY_RELU": 2,
    "RESIZE_BILINEAR": 3,
    "RESIZE_NEAREST_NEIGHBOR": 3,
    "STRIDED_SLICE": 2,
    "SLICE": 2,
    "SPLIT": 2,
    "TRANSPOSE": 2,
    "QUANTIZE": 2,
    "DEQUANTIZE": 2,
    "GELU": 2,
    "BROADCAST_TO": 3,
}
"""Versions of operators that take int8; 1 where nothing is said."""


def serialized(graph: LiteGraph, description: str = "") -> bytes:
    """The bytes of a file that `parse` reads as this network.

    Raises:
        ConfigError: the package with the schema is not installed.
    """
    schema, builder = packages()
    model = _Builder(schema).model(graph, description)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def with_outputs(content: bytes, places: Sequence[int], kept: Sequence[int] | None = None) -> bytes:
    """A file with other outputs, whatever else it holds; entrances by name are left out.

    Args:
        places: of tensors of its main network. kept: of its operators; None keeps all of them.

    Raises:
        ConfigError: as `serialized`.
    """
    schema, builder = packages()
    model = schema.ModelT.InitFromPackedBuf(content)
    drawn_in(model, content)
    signatures = model.signatureDefs or []
    main = model.subgraphs[signatures[0].subgraphIndex if signatures else 0]
    main.outputs = _int32(places)
    main.operators = main.operators if kept is None else [main.operators[place] for place in kept]
    model.signatureDefs = None
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def drawn_in(model: Any, content: bytes) -> None:
    """Values that stand behind the tables come into them."""
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(content, np.uint8)[buffer.offset : buffer.offset + buffer.size]
            buffer.offset = buffer.size = 0


def packages() -> tuple[Any, Any]:
    """The schema, and what builds a file."""
    try:
        import flatbuffers
        from ai_edge_litert import schema_py_generated as schema
    except ImportError as error:
        raise ConfigError(
            f"writing LiteRT files needs the package {error.name or 'ai-edge-litert'}", hint=INSTALL_HINT
        ) from error
    return schema, flatbuffers.Builder(1 << 16)


class _Builder:
    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._types = {
            np.dtype(kind): getattr(schema.TensorType, name)
            for name, kind in (
                ("FLOAT32", np.float32),
                ("FLOAT16", np.float16),
                ("INT32", np.int32),
                ("UINT8", np.uint8),
                ("INT64", np.int64),
                ("BOOL", np.bool_),
                ("INT16", np.int16),
                ("INT8", np.int8),
            )
        }
        self._codes: dict[str, int] = {}

    def model(self, graph: LiteGraph, description: str) -> Any:
        schema = self._schema
        model, main = schema.ModelT(), schema.SubGraphT()
        model.version, model.description, model.subgraphs = 3, description, [main]
        model.buffers = [schema.BufferT()]
        main.tensors = [self._tensor(tensor, model.buffers) for tensor in graph.tensors]
        main.inputs, main.outputs = _int32(graph.inputs), _int32(graph.outputs)
        main.operators = [self._operator(operator) for operator in graph.operators]
        main.name = "main"
        model.operatorCodes = [self._code(kind) for kind in self._codes]
        model.signatureDefs = [self._signature(graph)]
        return model

    def _signature(self, graph: LiteGraph) -> Any:
        """The entrance under the name that converters give it, which other tools look for."""
        made = self._schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = "serving_default", 0
        for maps, places in (("inputs", graph.inputs), ("outputs", graph.outputs)):
            setattr(made, maps, [self._named(graph, place) for place in dict.fromkeys(places)])
        return made

    def _named(self, graph: LiteGraph, place: int) -> Any:
        made = self._schema.TensorMapT()
        made.name, made.tensorIndex = graph.tensors[place].name, place
        return made

    def _tensor(self, tensor: LiteTensor, buffers: list[Any]) -> Any:
        made = self._schema.TensorT()
        made.name, made.type, made.hasRank = tensor.name, self._types[tensor.dtype], True
        made.shape = _int32(tensor.shape)
        if any(tensor.is_free):
            sizes = [-1 if free else size for size, free in zip(tensor.shape, tensor.is_free, strict=True)]
            made.shapeSignature = _int32(sizes)
        if tensor.data is not None:
            buffer = self._schema.BufferT()
            raw = np.ascontiguousarray(tensor.data, dtype=tensor.dtype.newbyteorder("<")).tobytes()
            buffer.data = np.frombuffer(raw, np.uint8)
            made.buffer = len(buffers)
            buffers.append(buffer)
        if tensor.quantization is not None:
            quantization = self._schema.QuantizationParametersT()
            quantization.scale = np.asarray(tensor.quantization.scales, np.float32)
            quantization.zeroPoint = np.asarray(tensor.quantization.zero_points, np.int64)
            quantization.quantizedDimension = tensor.quantization.axis
            made.quantization = quantization
        return made

    def _operator(self, operator: LiteOperator) -> Any:
        schema = self._schema
        made = schema.OperatorT()
        made.opcodeIndex = self._codes.setdefault(operator.kind, len(self._codes))
        made.inputs, made.outputs = _int32(operator.inputs), _int32(operator.outputs)
        kind = OPTIONS.get(operator.kind)
        if kind is not None:
            options = getattr(schema, f"{kind}T")()
            for name, value in operator.options.items():
                setattr(options, name, value)
            made.builtinOptionsType, made.builtinOptions = getattr(schema.BuiltinOptions, kind), options
        return made

    def _code(self, kind: str) -> Any:
        code = self._schema.OperatorCodeT()
        number = getattr(self._schema.BuiltinOperator, kind)
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        code.version = _VERSIONS.get(kind, 1)
        return code


def _int32(values: Any) -> Any:
    return np.asarray(list(values), np.int32)
