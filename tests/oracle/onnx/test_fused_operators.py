"""Operators that onnxruntime's optimizer leaves in files: read as those that they were made of."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx_ir")
from onnx import ModelProto, helper

from qdiag.errors import LoadError
from qdiag.onnx.load import load_network
from tests.networks.onnx_files import Array, node, onnx_bytes
from tests.oracle.onnx.against_onnxruntime import COUNTS, compared

RNG = np.random.default_rng(0)
IMAGE, ROWS = (4, 7, 6), (5, 8)


def f(*shape: int) -> Array:
    return RNG.uniform(-1.0, 1.0, shape).astype(np.float32)


CASES: dict[str, tuple[str, str, tuple[int, ...], dict[str, Array], dict[str, Any]]] = {
    "relu": ("FusedConv", "x w b", IMAGE, {"w": f(4, 4, 3, 3), "b": f(4)}, {"activation": "Relu", "pads": [1] * 4}),
    "clip": (
        *("FusedConv", "x w b", IMAGE, {"w": f(4, 4, 3, 3), "b": f(4)}),
        {"activation": "Clip", "activation_params": [0.0, 0.5]},
    ),
    "leaky": (
        *("FusedConv", "x w b", IMAGE, {"w": f(4, 4, 1, 1), "b": f(4)}),
        {"activation": "LeakyRelu", "activation_params": [0.1]},
    ),
    "sum": ("FusedConv", "x w b x", IMAGE, {"w": f(4, 4, 1, 1), "b": f(4)}, {"activation": "Relu"}),
    "gemm": ("FusedGemm", "x w b", (6,), {"w": f(6, 5), "b": f(5)}, {"activation": "Relu"}),
    "matmul": ("FusedMatMul", "x w", ROWS, {"w": f(3, 8)}, {"transB": 1, "alpha": 0.5}),
    "products": ("FusedMatMul", "x x", ROWS, {}, {"transA": 1}),
    "gelu": ("Gelu", "x", ROWS, {}, {}),
    "bias gelu": ("BiasGelu", "x b", ROWS, {"b": f(8)}, {}),
    "fast gelu": ("FastGelu", "x b", ROWS, {"b": f(8)}, {}),
    "quick gelu": ("QuickGelu", "x", ROWS, {}, {"alpha": 1.702}),
    "skip norm": ("SkipLayerNormalization", "x x g s b", ROWS, {"g": f(8), "s": f(8), "b": f(8)}, {"epsilon": 1e-5}),
    "skip rms": ("SkipSimplifiedLayerNormalization", "x x g", ROWS, {"g": f(8)}, {"epsilon": 1e-5}),
}


def file_with(op: str, data: str, shape: tuple[int, ...], constants: dict[str, Array], **attributes: Any) -> bytes:
    made = node(op, data, "y", "fused", domain="com.microsoft", **attributes)
    model = ModelProto.FromString(onnx_bytes([made], {"x": ("float32", ["N", *shape])}, constants))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize("name", CASES)
def test_a_fused_operator(name: str) -> None:
    op, data, shape, constants, attributes = CASES[name]
    content = file_with(op, data, shape, constants, **attributes)
    program = compared(content, [{"x": f(count, *shape)} for count in COUNTS], 1e-5)
    assert any("fused" in str(one.meta.get("layer_name", "")) for one in program.graph.nodes)


def test_another_activation_is_named() -> None:
    content = file_with("FusedConv", "x w", IMAGE, {"w": f(4, 4, 1, 1)}, activation="Softsign")
    with pytest.raises(LoadError, match="its activation Softsign is not known"):
        load_network(content, "net.onnx")
