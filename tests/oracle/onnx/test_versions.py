"""Whole files of old and new versions of ONNX, whose operators say the same otherwise, against onnxruntime."""

import numpy as np
import pytest

pytest.importorskip("onnx_ir")
import onnx

from tests.networks.onnx_files import Array, node, onnx_bytes
from tests.oracle.onnx.against_onnxruntime import COUNTS, compared

RNG = np.random.default_rng(3)
INPUTS = {"x": ("float32", ["N", 3, 8, 9])}


def f(*shape: int, low: float = -1.0) -> Array:
    return RNG.uniform(low, 1.0, shape).astype(np.float32)


def i(*numbers: int) -> Array:
    return np.asarray(numbers, np.int64)


def of_opset_9() -> bytes:
    """As exporters of 2019 wrote it: numbers as attributes, weights among the inputs, a dropout with a ratio."""
    nodes = [
        node("Pad", "x", "p", "pad", pads=[0, 0, 1, 1, 0, 0, 1, 0], value=0.25),
        node("Conv", "p w b", "c", "conv"),
        node("BatchNormalization", "c s o m v", "n", "bn", momentum=0.9),
        node("Clip", "n", "r", "clip", min=0.0, max=6.0),
        node("Upsample", "r scales", "u", "up", mode="nearest"),
        node("Slice", "u", "cut", "cut", starts=[1, 0], ends=[9, 1000], axes=[2, 3]),
        node("PRelu", "cut slopes", "pr", "prelu"),
        node("Split", "pr", "left right", "split", axis=1, split=[2, 2]),
        node("LRN", "left", "l", "lrn", size=3),
        node("Concat", "l right", "j", "join", axis=1),
        node("Dropout", "j", "d mask", "drop", ratio=0.3),
        node("ReduceMean", "d", "mean", "mean", axes=[2, 3], keepdims=0),
        node("Unsqueeze", "mean", "e", "wide", axes=[1]),
        node("Squeeze", "e", "q", "flat", axes=[1]),
        node("Gemm", "q gw gb", "g", "gemm", transB=1),
        node("Softmax", "g", "y", "softmax"),
        node("ReduceSum", "d", "z", "sum", axes=[1], keepdims=1),
        node("Softmax", "d", "t", "over all", axis=1),
    ]
    constants = {
        "w": f(4, 3, 3, 3), "b": f(4), "s": f(4, low=0.5), "o": f(4), "m": f(4), "v": f(4, low=0.5),
        "scales": np.asarray([1, 1, 2, 2], np.float32), "slopes": f(4, 1, 1, low=0.0), "gw": f(5, 4), "gb": f(5),
    }  # fmt: skip
    model = onnx.load_from_string(onnx_bytes(nodes, INPUTS, constants, ["y", "z", "t"], opset=9))
    model.ir_version = 3
    for tensor in model.graph.initializer:
        given = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        model.graph.input.append(given)
    content: bytes = model.SerializeToString()
    return content


def of_opset_22() -> bytes:
    """Numbers as inputs, groups with a scale for each channel, functions that were patterns before."""
    nodes = [
        node("Pad", "x p - axes", "padded", "pad", mode="reflect"),
        node("Conv", "padded w b", "c", "conv", auto_pad="SAME_UPPER"),
        node("GroupNormalization", "c s o", "n", "norm", num_groups=2, epsilon=1e-3),
        node("Gelu", "n", "g", "gelu", approximate="tanh"),
        node("AveragePool", "g", "a", "pool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        node("Split", "a", "left right", "split", axis=1, num_outputs=2),
        node("Mish", "left", "mi", "mish"),
        node("HardSwish", "right", "h", "hardswish"),
        node("Concat", "mi h", "j", "join", axis=1),
        node(
            "Resize",
            "j - - sizes",
            "r",
            "resize",
            mode="linear",
            axes=[2, 3],
            coordinate_transformation_mode="half_pixel",
        ),
        node("Shape", "r", "count", "count", start=0, end=1),
        node("Concat", "count rest", "shape", "shape", axis=0),
        node("Expand", "grid shape", "g2", "grids"),
        node("GridSample", "r g2", "sampled", "sample", mode="linear", padding_mode="border"),
        node("InstanceNormalization", "sampled s o", "z", "inorm"),
        node("ReduceMean", "r ax", "mean", "mean", keepdims=0),
        node("LayerNormalization", "mean ls lo", "ln", "lnorm", axis=-1),
        node("Gemm", "ln gw", "gm", "gemm"),
        node("Softmax", "gm", "y", "softmax"),
        node("ReduceMax", "r one", "t", "max", keepdims=1),
    ]
    constants = {
        "p": i(1, 1), "axes": i(-1), "w": f(4, 3, 3, 3), "b": f(4), "s": f(4, low=0.5), "o": f(4), "sizes": i(6, 7),
        "grid": f(1, 5, 5, 2), "ax": i(2, 3), "ls": f(4), "lo": f(4), "gw": f(4, 5), "one": i(1), "rest": i(5, 5, 2),
    }  # fmt: skip
    return onnx_bytes(nodes, INPUTS, constants, ["y", "z", "t"], opset=22)


@pytest.mark.parametrize("opset", [9, 22])
def test_a_file_is_read_as_onnxruntime_reads_it(opset: int) -> None:
    content = {9: of_opset_9, 22: of_opset_22}[opset]()
    compared(content, [{"x": f(count, 3, 8, 9)} for count in COUNTS], 2e-5)
