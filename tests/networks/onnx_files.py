"""Small ONNX files, written node by node."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
_TYPES = {
    "float32": TensorProto.FLOAT,
    "int64": TensorProto.INT64,
    "int32": TensorProto.INT32,
    "bool": TensorProto.BOOL,
    "float16": TensorProto.FLOAT16,
}


def node(op: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> Any:
    """`node("Conv", "x w b", "y", "conv")`; a `-` stands for an input that is left out."""
    names = ["" if part == "-" else part for part in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name=name, **attributes)


def onnx_bytes(
    nodes: Sequence[Any],
    inputs: Mapping[str, tuple[str, Sequence[int | str]]],
    constants: Mapping[str, Array] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> bytes:
    """A file.

    Args:
        inputs: type and shape by name; a text is a size that is free.
    """
    values = [helper.make_tensor_value_info(name, _TYPES[kind], shape) for name, (kind, shape) in inputs.items()]
    graph = helper.make_graph(
        list(nodes),
        "graph",
        values,
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def small_cnn(channels: int = 8, seed: int = 0) -> bytes:
    """Convolutions with BatchNorm, ReLU6, a sum, pooling and a linear layer, as exporters write them."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 1.0) -> Array:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    constants = {
        "stem.weight": normal(channels, 3, 3, 3, scale=0.3),
        "bn.weight": 1.0 + normal(channels, scale=0.1),
        "bn.bias": normal(channels, scale=0.1),
        "bn.running_mean": normal(channels, scale=0.1),
        "bn.running_var": 1.0 + normal(channels, scale=0.1) ** 2,
        "low": np.asarray(0.0, np.float32),
        "high": np.asarray(6.0, np.float32),
        "block.weight": normal(channels, channels, 3, 3, scale=0.2),
        "block.bias": normal(channels, scale=0.1),
        "head.weight": normal(5, channels, scale=0.5),
        "head.bias": normal(5, scale=0.1),
        "shape": np.asarray([0, -1], np.int64),
    }
    nodes = [
        node("Conv", "x stem.weight", "/stem/Conv_output", "/stem/Conv", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("BatchNormalization", "/stem/Conv_output bn.weight bn.bias bn.running_mean bn.running_var", "n", "/bn"),
        node("Clip", "n low high", "c", "/act/Clip"),
        node("Conv", "c block.weight block.bias", "d", "/block/Conv", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("Add", "d c", "s", "/block/Add"),
        node("Relu", "s", "r", "/block/Relu"),
        node("GlobalAveragePool", "r", "g", "/pool"),
        node("Reshape", "g shape", "f", "/flatten"),
        node("Gemm", "f head.weight head.bias", "y", "/head/Gemm", transB=1),
    ]
    return onnx_bytes(nodes, {"x": ("float32", ["N", 3, "H", "W"])}, constants)
