"""Operators on integers unpacked to float ones: the same as onnxruntime's own, but for the last rounding."""

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
import onnxruntime as ort
from onnx import ModelProto, helper

from qdiag.errors import LoadError
from qdiag.integer_file import TensorEdit
from qdiag.numerics.quantizers.affine import Affine
from qdiag.onnx.load import load_network
from qdiag.onnx.quantized.write import written
from tests.networks.onnx_files import Array, node, onnx_bytes

RNG = np.random.default_rng(0)
OURS = {"domain": "com.microsoft"}
S_X, S_Y = 0.05, 0.0871


def scalar(value: float, kind: Any = np.float32) -> Array:
    return np.asarray(value, kind)


# weights of 7 bits, so that no pair of products saturates on a processor without VNNI
CONSTANTS: dict[str, Array] = {
    "sx": scalar(S_X),
    "zx": scalar(120, np.uint8),
    "sy": scalar(S_Y),
    "zy": scalar(100, np.uint8),
    "s1": scalar(1 / 256),
    "z0": scalar(0, np.uint8),
    "w_quantized": RNG.integers(-64, 65, (6, 5)).astype(np.int8),
    "sw": RNG.uniform(0.005, 0.02, 5).astype(np.float32),
    "zw": np.zeros(5, np.int8),
    "k_quantized": RNG.integers(-64, 65, (5, 4, 3, 3)).astype(np.int8),
    "b_quantized": RNG.integers(-3000, 3000, 5).astype(np.int32),
    "axes": np.asarray([2, 3], np.int64),
    "pads": np.asarray([0, 0, 1, 0, 0, 0, 0, 0], np.int64),
    "z7": scalar(7, np.uint8),
    "z8": scalar(8, np.uint8),
    "mask": RNG.integers(0, 2, (1, 4, 6, 6)).astype(bool),
}
IMAGE, ROW = (4, 6, 6), (6,)
CASES: dict[str, tuple[Any, tuple[int, ...], float]] = {
    "QLinearConv": (node("QLinearConv", "q sx zx k_quantized sw zw sy zy b_quantized", "p", "n_quant"), IMAGE, S_Y),
    "QLinearMatMul": (node("QLinearMatMul", "q sx zx w_quantized sw zw sy zy", "p", "n_quant"), ROW, S_Y),
    "QGemm": (node("QGemm", "q sx zx w_quantized sw zw b_quantized sy zy", "p", "n_quant", **OURS), ROW, S_Y),
    "QLinearAdd": (node("QLinearAdd", "q sx zx q sx zx sy zy", "p", "n_quant", **OURS), IMAGE, S_Y),
    "QLinearMul": (node("QLinearMul", "q sx zx q sx zx sy zy", "p", "n_quant", **OURS), IMAGE, S_Y),
    "QLinearSigmoid": (node("QLinearSigmoid", "q sx zx s1 z0", "p", "n_quant", **OURS), IMAGE, 1 / 256),
    "QLinearLeakyRelu": (node("QLinearLeakyRelu", "q sx zx sy zy", "p", "n_quant", alpha=0.2, **OURS), IMAGE, S_Y),
    "QLinearSoftmax": (
        node("QLinearSoftmax", "q sx zx s1 z0", "p", "n_quant", axis=-1, opset=17, **OURS),
        ROW,
        1 / 256,
    ),
    "QLinearAveragePool": (
        node("QLinearAveragePool", "q sx zx sy zy", "p", "n_quant", kernel_shape=[2, 2], strides=[2, 2], **OURS),
        IMAGE,
        S_Y,
    ),
    "QLinearGlobalAveragePool": (node("QLinearGlobalAveragePool", "q sx zx sy zy", "p", "n_quant", **OURS), IMAGE, S_Y),
    "QLinearConcat": (node("QLinearConcat", "sy zy q sx zx q sx zx", "p", "n_quant", axis=1, **OURS), IMAGE, S_Y),
    "QLinearWhere": (node("QLinearWhere", "mask q sx zx q sx zx sy zy", "p", "n_quant", **OURS), IMAGE, S_Y),
}


def file_with(operator: Any, shape: tuple[int, ...], scale: float) -> bytes:
    names = {1 / 256: "s1 z0", S_X: "sx zx", S_Y: "sy zy"}[scale]
    nodes = [node("QuantizeLinear", "x sx zx", "q", "in"), operator, node("DequantizeLinear", f"p {names}", "y", "out")]
    used = {name for one in nodes for name in one.input}
    content = onnx_bytes(nodes, {"x": ("float32", ["N", *shape])}, {k: v for k, v in CONSTANTS.items() if k in used})
    model = ModelProto.FromString(content)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    done: bytes = model.SerializeToString()
    return done


@pytest.mark.parametrize("name", CASES)
def test_an_operator_is_the_float_one_between_its_quantizers(name: str) -> None:
    operator, shape, scale = CASES[name]
    content = file_with(operator, shape, scale)
    count = 1 if name == "QLinearWhere" else 12
    x = (S_X * (RNG.integers(0, 256, (count, *shape)) - 120)).astype(np.float32)
    wanted = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    network = load_network(content, "net.onnx")
    assert network.integers is not None and network.integers.encoding == "QOperator"
    (quantizer,) = network.integers.outputs["y"]
    got = network(torch.from_numpy(x))
    rounded = quantizer.fake_quantize(got).numpy()
    steps = np.abs(rounded - wanted) / scale
    assert steps.max() < 1.5 and (steps > 0.5).mean() < 0.01
    assert len(np.unique(wanted)) > 10  # nothing like a constant


def padded(value: str) -> bytes:
    return file_with(node("Pad", f"q pads {value}", "p", "pad"), IMAGE, S_X)


def output_of(content: bytes, x: Array) -> Array:
    found: Array = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    return found


@pytest.mark.parametrize("value", ["z7", "-"])
def test_integers_are_padded_with_what_an_integer_stands_for(value: str) -> None:
    """Without a number they are padded with the integer 0, which is not the number 0."""
    content, x = padded(value), (S_X * RNG.integers(-120, 136, (2, *IMAGE))).astype(np.float32)
    network = load_network(content, "net.onnx")
    assert np.allclose(network(torch.from_numpy(x)).numpy(), output_of(content, x), atol=1e-6)


@pytest.mark.parametrize("quantizer", [(0.1, 60, 255), (0.001, 30000, 65535), None])
def test_a_padding_follows_another_quantizer(quantizer: tuple[float, int, int] | None) -> None:
    numbers = None
    if quantizer is not None:
        scale, zero, high = quantizer
        numbers = Affine(torch.tensor(scale), torch.tensor(float(zero)), 0, high, None, is_symmetric=False)
    x = (0.1 * RNG.integers(-59, 100, (2, *IMAGE))).astype(np.float32)
    wanted = np.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)), constant_values=S_X * (8 - 120))
    done = written(padded("z8"), [TensorEdit("x", ("q",), numbers)], "net.onnx")
    assert np.allclose(output_of(done, x), wanted, atol=1e-4)
    assert not np.allclose(output_of(padded("z8"), x), wanted, atol=1e-4)  # it clips


def test_an_operator_on_integers_that_is_not_known_is_named() -> None:
    content = file_with(node("QLinearReduceMax", "q sx zx sy zy", "p", "n_quant", **OURS), IMAGE, S_Y)
    with pytest.raises(LoadError, match="QLinearReduceMax n_quant: this operator on integers is not known"):
        load_network(content, "net.onnx")
