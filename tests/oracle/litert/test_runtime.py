"""LiteRT as a runtime of files: what goes in and comes out, in which order of axes, and what it computes with."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
from qdiag.errors import DataError, LoadError
from qdiag.litert.serialize import serialized
from qdiag.runtimes.litert import LitertRuntime
from tests.networks.litert_files import lite_bytes, op, quantization, small_cnn
from tests.oracle.litert.against_litert import run

RNG = np.random.default_rng(0)


def quantized_file() -> bytes:
    """A convolution between integers, and one in float behind it."""
    return lite_bytes(
        [
            op("CONV_2D", "x w b", "c", strideH=1, strideW=1, padding=1),
            op("DEQUANTIZE", "c", "d"),
            op("CONV_2D", "d v a", "y", strideH=1, strideW=1, padding=1),
            op("TRANSPOSE", "c p", "t"),
        ],
        {
            "x": (1, 5, 6, 3),
            "w": RNG.integers(-127, 128, (4, 2, 2, 3)).astype(np.int8),
            "b": np.zeros(4, np.int32),
            "c": (1, 4, 5, 4),
            "d": (1, 4, 5, 4),
            "v": RNG.standard_normal((2, 1, 1, 4)).astype(np.float32),
            "a": np.zeros(2, np.float32),
            "y": (1, 4, 5, 2),
            "p": np.asarray([0, 2, 1, 3], np.int32),
            "t": (1, 5, 4, 4),
        },
        "y t",
        quantized={
            "x": quantization(0.02, 3),
            "w": quantization([0.01, 0.02, 0.03, 0.04]),
            "b": quantization([0.0002, 0.0004, 0.0006, 0.0008]),
            "c": quantization(0.1, -5),
            "t": quantization(0.1, -5),
        },
        dtypes={"x": np.int8, "c": np.int8, "t": np.int8},
    )


FILE = quantized_file()


def test_images_have_their_channels_first_and_other_values_stay() -> None:
    file = LitertRuntime(FILE, kernels="tflite")
    x = RNG.uniform(-2, 2, (1, 3, 5, 6)).astype(np.float32)
    found = file.run({"x": x}, ("c", "x"))
    integers = np.clip(np.rint(x / np.float32(0.02)) + 3, -128, 127).astype(np.int8).transpose(0, 2, 3, 1)
    y, t = run(FILE, [integers])
    assert np.array_equal(found.outputs["y"], y.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(found.outputs["t"], (t.astype(np.float32) + 5) * np.float32(0.1), rtol=1e-6)
    assert np.array_equal(found.integers["x"].transpose(0, 2, 3, 1), integers)
    assert np.array_equal(found.integers["c"].transpose(0, 3, 2, 1), t)  # channels first; t has its axes in turn


def test_an_input_with_its_channels_last_comes_back_so() -> None:
    """And one that fits both orders has them first."""
    file = LitertRuntime(FILE, kernels="tflite")
    x = RNG.uniform(-2, 2, (1, 3, 5, 6)).astype(np.float32)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    one, other = file.run({"x": x}, ("x", "c")), file.run({"x": last}, ("x", "c"))
    assert np.array_equal(one.integers["x"].transpose(0, 2, 3, 1), other.integers["x"])
    assert np.array_equal(one.integers["c"], other.integers["c"])
    square = lite_bytes(
        [op("AVERAGE_POOL_2D", "x", "y", padding=1, strideH=1, strideW=1, filterHeight=4, filterWidth=4)],
        {"x": (1, 4, 4, 4), "y": (1, 1, 1, 4)},
    )
    x = RNG.uniform(-2, 2, (1, 4, 4, 4)).astype(np.float32)
    found = LitertRuntime(square, kernels="tflite").run({"x": x}).outputs["y"]
    np.testing.assert_allclose(found.reshape(4), x.mean((0, 2, 3)), rtol=1e-5)


def test_what_it_computes_with() -> None:
    file = LitertRuntime(FILE)
    assert file.inputs == ("x",) and file.outputs == ("y", "t") and file.batch_size == 1
    assert {name: int(tensor.zero_point) for name, tensor in file.tensors.items()} == {"x": 3, "c": -5, "t": -5}
    operations = file.operations()
    assert "XNNPACK" in operations.runtime
    assert dict(operations.integer) == {"CONV_2D": 1} and dict(operations.moving) == {"TRANSPOSE": 1}
    assert [(one.op, one.name) for one in operations.floating] == [("CONV_2D", "y")]


def test_what_does_not_fit_is_said() -> None:
    file = LitertRuntime(serialized(small_cnn()), at="net.tflite")
    with pytest.raises(DataError, match="nothing is given for the input x"):
        file.run({})
    with pytest.raises(DataError, match=r"of shape \(1, 8, 8, 3\), not \(2, 8, 8, 3\)"):
        file.run({"x": np.zeros((2, 3, 8, 8), np.float32)})
    with pytest.raises(DataError, match="no activation of integers under the name 'stem'"):
        file.run({"x": np.zeros((1, 3, 8, 8), np.float32)}, ("stem",))
    broken = lite_bytes([op("ADD", "x c", "y")], {"x": (1, 3), "c": np.ones(4, np.float32), "y": (1, 3)})
    with pytest.raises(LoadError, match="LiteRT does not take the file"):
        LitertRuntime(broken).operations()
