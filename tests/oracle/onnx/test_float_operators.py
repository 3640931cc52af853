"""Operators that a quantized file keeps in float between its quantizers: the same integers as in onnxruntime."""

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
import onnxruntime as ort
from onnxruntime.quantization import QuantType

from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.onnxruntime.norms import BatchNormalization
from tests.networks.onnx_files import Array, node, onnx_bytes
from tests.oracle.onnx.file_integers import compared, quantized

RNG = np.random.default_rng(0)


def normal(*shape: int, scale: float = 1.0) -> Array:
    return (scale * RNG.standard_normal(shape)).astype(np.float32)


def statistics(channels: int) -> dict[str, Array]:
    return {
        "s": RNG.uniform(0.5, 1.5, channels).astype(np.float32),
        "b": normal(channels, scale=0.3),
        "m": normal(channels, scale=0.3),
        "v": RNG.uniform(1e-6, 2.0, channels).astype(np.float32),
    }


def with_batch_norm() -> bytes:
    constants = {"w": normal(8, 3, 3, 3, scale=0.3), "w2": normal(5, 8, scale=0.4), **statistics(8)}
    nodes = [
        node("Conv", "x w", "c", "conv", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("BatchNormalization", "c s b m v", "n", "norm"),
        node("Relu", "n", "r", "relu"),
        node("GlobalAveragePool", "r", "g", "pool"),
        node("Flatten", "g", "f", "flat"),
        node("Gemm", "f w2", "y", "head", transB=1),
    ]
    return onnx_bytes(nodes, {"x": ("float32", ["N", 3, 12, 12])}, constants)


@pytest.mark.parametrize("kind", ["QUInt8", "QInt8"])
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside its float network"])
def test_a_batch_norm_that_stays(alone: bool, kind: str) -> None:
    """Its scale and shift are integers in the file; they count beside the float network as well."""
    content, feeds = with_batch_norm(), [{"x": normal(4, 3, 12, 12)} for _ in range(3)]
    file = quantized(content, feeds, per_channel=True, activation_type=QuantType[kind])
    found = compared(file, feeds, None if alone else content)
    assert set(found.counts) == {"input:x", "conv", "norm", "pool", "head"}
    assert not found.differing
    assert not found.reasons


def test_a_batch_norm_is_that_of_onnxruntime_bit_for_bit() -> None:
    constants, x = statistics(64), normal(8, 64, 9, 9)
    content = onnx_bytes([node("BatchNormalization", "x s b m v", "y")], {"x": ("float32", list(x.shape))}, constants)
    expected = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    numbers = [torch.from_numpy(one) for one in (x, *constants.values())]
    graph = torch.fx.Graph()
    made = graph.call_function(torch.ops.aten.batch_norm.default, tuple(graph.placeholder(n) for n in "xsbmv"))
    rule: Any = BatchNormalization
    found = rule.on_integers(None, LayerOp(made), (*numbers, False, 0.1, 1e-5, False), {})
    np.testing.assert_array_equal(found.numpy(), expected)
    plain = torch.ops.aten.batch_norm.default(*numbers, False, 0.1, 1e-5, False)
    assert (plain.numpy() != expected).any(), "torch rounds otherwise"
