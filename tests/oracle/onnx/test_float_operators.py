"""Operators that a quantized file keeps in float between its quantizers: the same integers as in onnxruntime."""

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
import onnxruntime as ort
from onnxruntime.quantization import QuantFormat, QuantType

from qdiag.batches import Batch, Datasets
from qdiag.config import load_preset
from qdiag.loaders.data.sources import batches_from
from qdiag.onnx.load import load_network
from qdiag.pipeline.begin import begin
from qdiag.pipeline.verify.verify import with_arithmetic
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.onnxruntime.norms import BatchNormalization, LayerNormalization
from qdiag.simulate.passes.lanes import Lane
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.subject import Subject
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


@pytest.mark.parametrize("has_bias", [True, False], ids=["with a shift", "without one"])
@pytest.mark.parametrize("shape", [(1,), (3,), (7,), (8,), (11,), (13,), (15,), (72,), (100,), (768,), (4, 6)])
def test_a_layer_norm_is_that_of_onnxruntime_bit_for_bit(shape: tuple[int, ...], has_bias: bool) -> None:
    """Far from zero and narrow, where the steps of the sums show most."""
    x, constants = normal(64, *shape, scale=0.01) + np.float32(0.3), {"w": 1.0 + normal(*shape), "b": normal(*shape)}
    if not has_bias:
        del constants["b"]
    made = node("LayerNormalization", " ".join(("x", *constants)), "y", axis=1, epsilon=1e-6)
    content = onnx_bytes([made], {"x": ("float32", list(x.shape))}, constants)
    expected = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    norm = torch.fx.Graph().call_function(torch.ops.aten.layer_norm.default, ())
    weight, bias = (torch.from_numpy(constants[n]) if n in constants else None for n in "wb")
    rule: Any = LayerNormalization
    arguments = (torch.from_numpy(x), list(shape), weight, bias, 1e-6)
    np.testing.assert_array_equal(rule.on_integers(None, LayerOp(norm), arguments, {}).numpy(), expected)
    plain = torch.ops.aten.layer_norm.default(*arguments)
    assert (len(shape) == 1 and shape[0] < 3) or (plain.numpy() != expected).any(), "torch rounds otherwise"


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("kind", ["QUInt8", "QInt8"])
@pytest.mark.parametrize(
    ("where", "factors"),
    [
        ("half_pixel", (2.0, 2.0)),
        ("half_pixel", (1.7, 0.6)),
        ("pytorch_half_pixel", (2.5, 2.0)),
        ("align_corners", (2.0, 1.5)),
        ("asymmetric", (2.0, 2.0)),
    ],
)
def test_a_linear_resize(where: str, factors: tuple[float, float], kind: str, form: str) -> None:
    """On integers (QOperator) what is behind the point is cut off, and distances have 10 bits."""
    constants = {"w": normal(8, 3, 3, 3, scale=0.3), "w2": normal(8, 8, 3, 3, scale=0.2)}
    constants["f"] = np.asarray([1.0, 1.0, *factors], np.float32)
    nodes = [
        node("Conv", "x w", "a", "first", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("Resize", "a - f", "r", "resize", mode="linear", coordinate_transformation_mode=where),
        node("Conv", "r w2", "y", "second", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
    ]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 3, 9, 11])}, constants)
    feeds = [{"x": normal(2, 3, 9, 11)} for _ in range(3)]
    options = {"activation_type": QuantType[kind], "quant_format": QuantFormat[form]}
    found = compared(quantized(content, feeds, **options), feeds)
    assert {"first", "second"} <= set(found.counts)
    assert not found.differing
    assert not found.reasons


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
@pytest.mark.parametrize("factor", [2.0, 1.7])
def test_integers_that_no_convolution_gives_are_resized_in_float(factor: float, kind: type) -> None:
    """0 and 255 at twice the size are 0, 63, 191 and 255."""
    numbers = {"s": np.float32(1.0 / 64.0), "z": np.asarray(0 if kind is np.uint8 else -3, kind)}
    constants = {"f": np.asarray([1.0, 1.0, factor, factor], np.float32), **numbers}
    nodes = [
        node("QuantizeLinear", "x s z", "q", "quantize"),
        node("Resize", "q - f", "r", "resize", mode="linear"),
        node("DequantizeLinear", "r s z", "d", "dequantize"),
        node("Add", "d d", "y", "add"),
    ]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 1, 9, 7])}, {k: np.asarray(v) for k, v in constants.items()})
    x = normal(3, 1, 9, 7)
    network = load_network(content, "int8.onnx").eval()
    batches = batches_from([Batch((), {"x": torch.from_numpy(x)})])
    data, subject = Datasets(batches, batches, "the same"), Subject(network, "onnx", "int8.onnx", "ONNX")
    session = Session()
    case = with_arithmetic(session, begin(session, subject, data, load_preset("int8")), "ort").case
    expected = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    (found,) = LaneRunner([Lane(case.network), Lane(case.network, case.plan)]).run_batch(next(iter(case.measured)))
    np.testing.assert_array_equal(found.tensors[1].numpy(), expected)
    assert len(np.unique(expected)) > 40


def pair(x: str, output: str, numbers: str) -> list[Any]:
    """A quantizer, whose scale and zero point are named by a letter."""
    names = f"{numbers}s {numbers}z"
    quantize = node("QuantizeLinear", f"{x} {names}", f"{output}_q", f"{output}_quantize")
    return [quantize, node("DequantizeLinear", f"{output}_q {names}", output, f"{output}_dequantize")]


def numbers_of(name: str, scale: float, kind: type) -> dict[str, Array]:
    zero_point = 128 if kind is np.uint8 else 0
    return {f"{name}s": np.asarray(scale, np.float32), f"{name}z": np.asarray(zero_point, kind)}


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_a_running_sum(reverse: int, exclusive: int, kind: type) -> None:
    constants = numbers_of("a", 0.0173, kind) | numbers_of("b", 0.0913, kind) | {"axis": np.asarray(2, np.int64)}
    made = node("CumSum", "v axis", "c", "sum", exclusive=exclusive, reverse=reverse)
    nodes = [*pair("x", "v", "a"), made, *pair("c", "y", "b")]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 5, 40])}, constants)
    found = compared(content, [{"x": normal(4, 5, 40)} for _ in range(3)])
    assert found.counts == {"input:x": 2400, "sum": 2400}
    assert not found.differing
    assert not found.reasons


@pytest.mark.parametrize(
    ("alpha", "beta", "bias", "is_exact"),
    [
        *((1.0, 1.0, "", True), (1.0, 0.5, "", True), (1.0, 1.0, "integers", True), (1.0, 1.0, "float", True)),
        *((2.0, 1.0, "", False), (0.7, 1.0, "integers", False), (1.0, 0.5, "integers", False)),
        *((1.0, 0.0, "integers", False), (2.0, 0.5, "float", False)),
    ],
)
def test_a_product_with_factors(alpha: float, beta: float, bias: str, is_exact: bool) -> None:
    """What onnxruntime does in float, or in another kernel, has a reason."""
    constants = numbers_of("a", 0.0173, np.uint8) | numbers_of("b", 0.0413, np.uint8)
    constants |= {"wq": RNG.integers(-127, 128, (7, 6)).astype(np.int8), "ws": np.asarray(0.007, np.float32)}
    constants["wz"] = np.asarray(0, np.int8)
    nodes = [*pair("x", "v", "a"), node("DequantizeLinear", "wq ws wz", "w", "weight")]
    if bias == "integers":
        constants |= {"iq": RNG.integers(-3000, 3000, 7).astype(np.int32), "iz": np.asarray(0, np.int32)}
        constants["is"] = np.asarray(np.float32(0.0173) * np.float32(0.007))
        nodes.append(node("DequantizeLinear", "iq is iz", "bias", "bias"))
    elif bias:
        constants["bias"] = normal(7)
    names = "v w bias" if bias else "v w"
    nodes += [node("Gemm", names, "c", "gemm", transB=1, alpha=alpha, beta=beta), *pair("c", "y", "b")]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 6])}, constants)
    found = compared(content, [{"x": normal(300, 6)} for _ in range(3)])
    (last,) = set(found.counts) - {"input:x"}
    assert last.startswith("gemm")
    assert set(found.reasons) == (set() if is_exact else {last})
    assert set(found.differing) <= set(found.reasons)
