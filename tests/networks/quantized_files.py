"""A small float ONNX file, and what onnxruntime's own quantizer makes of it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from tests.networks.onnx_files import Array, node, onnx_bytes


def float_cnn(seed: int = 0) -> bytes:
    """Convolutions with ReLU, a sum, a gate, pooling and a linear layer; no BatchNorm, as after folding."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 0.3) -> Array:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    constants = {
        "stem.weight": normal(8, 3, 3, 3),
        "stem.bias": normal(8),
        "block.weight": normal(8, 8, 3, 3, scale=0.1),
        "block.bias": normal(8),
        "head.weight": normal(5, 8),
        "head.bias": normal(5),
    }
    nodes = [
        node("Conv", "x stem.weight stem.bias", "c", "stem", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("Relu", "c", "r", "act"),
        node("MaxPool", "r", "p", "down", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p block.weight block.bias", "d", "block", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("Add", "d p", "s", "sum"),
        node("Relu", "s", "t", "act2"),
        node("Sigmoid", "t", "g", "gate"),
        node("Mul", "t g", "m", "swish"),
        node("GlobalAveragePool", "m", "a", "pool"),
        node("Flatten", "a", "f", "flatten"),
        node("Gemm", "f head.weight head.bias", "y", "head", transB=1),
    ]
    return onnx_bytes(nodes, {"x": ("float32", ["N", 3, 8, 8])}, constants)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, batches: Iterator[dict[str, Array]]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, Array] | None:
        return next(self._batches, None)


def quantized(content: bytes, x: Array, folder: Path, **options: Any) -> bytes:
    """The file after `quantize_static`, calibrated on one batch: QDQ, uint8 activations, int8 weights per channel."""
    source, target = folder / "float.onnx", folder / "quantized.onnx"
    source.write_bytes(content)
    chosen = {"quant_format": QuantFormat.QDQ, "per_channel": True, "activation_type": QuantType.QUInt8, **options}
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it advises to preprocess the network
    try:
        quantize_static(source, target, _Reader(iter([{"x": x}])), weight_type=QuantType.QInt8, **chosen)
    finally:
        logging.getLogger().setLevel(level)
    return target.read_bytes()


def constants_of(content: bytes) -> dict[str, Array]:
    """Initializers of a file, by name."""
    return {one.name: numpy_helper.to_array(one) for one in onnx.ModelProto.FromString(content).graph.initializer}


def with_constants(content: bytes, changes: dict[str, Array]) -> bytes:
    """The file with other values in some initializers."""
    model = onnx.ModelProto.FromString(content)
    for one in model.graph.initializer:
        if one.name in changes:
            one.CopyFrom(numpy_helper.from_array(changes[one.name], one.name))
    changed: bytes = model.SerializeToString()
    return changed


def renamed(content: bytes) -> bytes:
    """The same network with other names for everything but its inputs and outputs."""
    model = onnx.ModelProto.FromString(content)
    fixed = {value.name for value in (*model.graph.input, *model.graph.output)}
    names: dict[str, str] = {"": ""}

    def other(name: str) -> str:
        return name if name in fixed else names.setdefault(name, f"v{len(names)}")

    for one in model.graph.initializer:
        one.name = other(one.name)
    for number, one in enumerate(model.graph.node):
        inputs, outputs = [other(name) for name in one.input], [other(name) for name in one.output]
        one.CopyFrom(helper.make_node(one.op_type, inputs, outputs, name=f"n{number}", domain=one.domain))
        one.attribute.extend(onnx.ModelProto.FromString(content).graph.node[number].attribute)
    del model.graph.value_info[:]
    changed: bytes = model.SerializeToString()
    return changed


def values_at(content: bytes, x: Array, tensors: list[str]) -> dict[str, Array]:
    """What onnxruntime gives for some tensors of a file, run as it is written."""
    import onnxruntime as ort

    model = onnx.ModelProto.FromString(content)
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in tensors if name not in known)
    settings = ort.SessionOptions()
    settings.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    return dict(zip(tensors, session.run(tensors, {"x": x}), strict=True))
