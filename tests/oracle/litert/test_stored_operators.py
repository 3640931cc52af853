"""Operators of int8 that files of other tools have, against the three resolvers; which kernels there are none of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("ai_edge_litert")
from qdiag.config import load_preset
from qdiag.core.measures.deployed.verification import Verification, VerifyLimits
from qdiag.core.scheme import RuntimeName
from qdiag.errors import QdiagError
from qdiag.litert.load import load_network
from qdiag.litert.operators import OPERATORS
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.export.formats import format_for
from qdiag.pipeline.preparation.given import datasets_of, scheme_of
from qdiag.pipeline.verify.verify import verify_case, with_arithmetic
from qdiag.runtimes.litert import LitertRuntime
from qdiag.simulate.session import Session
from tests.networks.litert_files import lite_bytes, op, quantization

KERNELS: tuple[RuntimeName, ...] = ("tflite-ref", "tflite", "xnnpack")
IMAGE = (1, 5, 7, 6)
SCALES = {"x": (0.031, 3), "p": (0.02, -128), "y": (0.047, -11)}
RULED = (
    *("ABS", "NEG", "SQRT", "RSQRT", "LOG", "PRELU", "SQUARED_DIFFERENCE", "SUM", "DIV", "L2_NORMALIZATION"),
    *("AVERAGE_POOL_2D", "MAXIMUM", "MINIMUM", "ADD", "SUB", "MUL", "MEAN", "EXP", "ELU", "GELU", "HARD_SWISH"),
    *("LEAKY_RELU", "RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "TANH", "LOGISTIC", "SOFTMAX", "CONCATENATION"),
    *("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "RESIZE_BILINEAR"),
    *("LOG_SOFTMAX", "REDUCE_PROD", "QUANTIZE", "DEQUANTIZE"),
)
MOVING = (
    *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "PADV2", "MIRROR_PAD", "BROADCAST_TO", "TILE", "SLICE"),
    *("STRIDED_SLICE", "GATHER", "SPLIT", "SPLIT_V", "PACK", "UNPACK", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH"),
    *("MAX_POOL_2D", "RESIZE_NEAREST_NEIGHBOR", "REDUCE_MAX", "REDUCE_MIN", "ARG_MAX", "ARG_MIN"),
)
WITHOUT_KERNEL = (
    "CEIL",
    "COS",
    "FLOOR",
    "ROUND",
    "SIGN",
    "SIN",
    "SQUARE",
    "POW",
    "ADD_N",
    "LOCAL_RESPONSE_NORMALIZATION",
)


def _drawn(name: str, count: int) -> torch.Tensor:
    """Every integer of an input, as the numbers that they stand for."""
    scale, zero = SCALES[name]
    drawn = np.random.default_rng(len(name)).integers(-128, 128, (count, IMAGE[3], *IMAGE[1:3]))
    return torch.from_numpy(((drawn - zero) * np.float32(scale)).astype(np.float32))


def _verified(content: bytes, tmp_path: Any, data: Any) -> list[Verification]:
    (tmp_path / "int8.tflite").write_bytes(content)
    subject = load_subject(tmp_path / "int8.tflite")
    found = begin(Session(), subject, datasets_of(data, None), scheme_of(load_preset("int8")))
    return [_under(found, kernels, content) for kernels in KERNELS]


def _under(found: Experiment, kernels: RuntimeName, content: bytes) -> Verification:
    form = format_for(kernels)
    under = with_arithmetic(Session(), found, form.arithmetic)
    return verify_case(Session(), under, under.case, form, content, None, source="", limits=VerifyLimits())


def _many() -> bytes:
    """Each operator of one input or two; `p` is never negative."""
    rng = np.random.default_rng(0)
    c = IMAGE[3]
    numbers: dict[str, tuple[float, int]] = {"x": SCALES["x"], "p": SCALES["p"]}
    values: dict[str, Any] = {"x": IMAGE, "p": IMAGE}
    operators = []

    def add(kind: str, inputs: str, name: str, shape: Sequence[int] = IMAGE, at: Any = None, **options: Any) -> None:
        operators.append(op(kind, inputs, name, **options))
        values[name], numbers[name] = tuple(shape), at or SCALES["y"]

    def constant(name: str, data: Any, at: tuple[float, int] | None = None) -> None:
        values[name] = np.asarray(data)
        if at is not None:
            numbers[name] = at

    constant("slopes", rng.integers(-100, 100, (1, 1, c)).astype(np.int8), (0.01, 5))
    constant("number", np.asarray(57, np.int8), (0.022, -7))
    constant("divisors", rng.integers(1, 128, c).astype(np.int8), (0.022, -7))
    for name, axes in (("image", [1, 2]), ("channels", [3]), ("rows", [1])):
        constant(name, np.asarray(axes, np.int32))
    for kind in ("ADD", "MUL", "DIV", "SQUARED_DIFFERENCE"):
        add(kind, "x number", f"{kind.lower()}/number", at=(0.017, -11))
    add("ABS", "x", "abs")
    add("ABS", "x", "abs/own", at=SCALES["x"])
    add("NEG", "x", "neg")
    add("PRELU", "x slopes", "prelu")
    add("SQUARED_DIFFERENCE", "x p", "squares", at=(0.09, -100))
    add("SQUARED_DIFFERENCE", "x divisors", "squares/channels", at=(0.09, -100))
    add("DIV", "x divisors", "quotient")
    add("L2_NORMALIZATION", "x", "normal", at=(1.0 / 128.0, 0))
    add("LOG_SOFTMAX", "x", "logarithms", at=(1.0 / 16.0, 127))
    add("REDUCE_PROD", "x rows", "product/rows", (1, *IMAGE[2:]), at=(0.9, 3), keepDims=False)
    add("REDUCE_PROD", "p channels", "product/channels", (*IMAGE[:3], 1), at=(2.0, -9), keepDims=True)
    add("SQRT", "p", "sqrt")
    add("RSQRT", "p", "rsqrt")
    add("LOG", "p", "log", at=(0.04, 20))
    add("SUM", "x image", "sum/images", (1, c), at=(0.4, 9), keepDims=False)
    add("SUM", "x channels", "sum/channels", (*IMAGE[:3], 1), at=(0.31, -9), keepDims=True)
    add("SUM", "p rows", "sum/rows", (1, *IMAGE[2:]), at=(0.04, 7), keepDims=False)
    for kernel, step in ((3, 2), (2, 2), (4, 3)):
        shape = (1, *(-(-size // step) for size in IMAGE[1:3]), c)
        window = {"filterHeight": kernel, "filterWidth": kernel, "strideH": step, "strideW": step}
        add("AVERAGE_POOL_2D", "x", f"mean/{kernel}/{step}", shape, at=SCALES["x"], padding=0, **window)
    constant("size", np.asarray([9, 11], np.int32))
    for where, corners, centred in (("corners", True, False), ("centres", False, True), ("edges", False, False)):
        sampled = {"alignCorners": corners, "halfPixelCenters": centred}
        add("RESIZE_BILINEAR", "x size", f"resized/{where}", (1, 9, 11, c), at=SCALES["x"], **sampled)
    made = [name for name in values if name not in ("x", "p") and not isinstance(values[name], np.ndarray)]
    return lite_bytes(
        operators,
        values,
        " ".join(made),
        "x p",
        quantized={name: quantization(*pair) for name, pair in numbers.items()},
        dtypes=dict.fromkeys((*made, "x", "p"), np.int8),
    )


def test_operators_of_other_tools_come_to_the_same_integers(tmp_path: Any) -> None:
    """0 of all integers differ from each of the three resolvers, and no note names a layer of them.

    Nor the one whose norm stands in the graph as values in float: its rule makes the norm itself.
    """
    data = [{name: _drawn(name, 24) for name in ("x", "p")}]
    for run in _verified(_many(), tmp_path, data):
        found = {one.layer: one.differing_count for one in run.layers if not one.layer.startswith("input")}
        assert len(found) == 27 and not any(found.values()), found
        assert not run.uncompared and not any(one.reason for one in run.layers)


def test_every_operator_that_is_read_has_a_rule_or_a_reason() -> None:
    known = (*RULED, *MOVING, *WITHOUT_KERNEL, "CAST")
    assert sorted(known) == sorted(OPERATORS)


@pytest.mark.parametrize("kind", WITHOUT_KERNEL)
def test_operators_without_a_kernel_of_int8_are_refused_by_the_runtime(kind: str) -> None:
    """So that no file of int8 that runs has them."""
    inputs = "x p" if kind in ("POW", "ADD_N") else "x"
    content = lite_bytes(
        [op(kind, inputs, "y")],
        {"x": IMAGE, "p": IMAGE, "y": IMAGE},
        inputs=inputs,
        quantized={name: quantization(*pair) for name, pair in SCALES.items()},
        dtypes=dict.fromkeys(SCALES, np.int8),
    )
    feeds = {name: np.zeros(IMAGE, np.int8) for name in inputs.split()}
    for kernels in KERNELS:
        with pytest.raises(QdiagError):
            LitertRuntime(content, kernels=kernels).run(feeds)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["MAXIMUM", "TANH", "AVERAGE_POOL_2D"])
def test_scales_that_kernels_do_not_look_at_are_named(kind: str, tmp_path: Any) -> None:
    """Integers of a maximum are compared as they are stored, so that what comes out is not what the scales say."""
    window = {"filterHeight": 3, "filterWidth": 3, "strideH": 1, "strideW": 1, "padding": 0}
    inputs, options = {"MAXIMUM": ("x p", {}), "TANH": ("x", {}), "AVERAGE_POOL_2D": ("x", window)}[kind]
    content = lite_bytes(
        [op(kind, inputs, "y", **options)],
        {"x": IMAGE, "p": IMAGE, "y": IMAGE},
        inputs=inputs,
        quantized={name: quantization(*pair) for name, pair in SCALES.items()},
        dtypes=dict.fromkeys(SCALES, np.int8),
    )
    network = load_network(content, "int8.tflite")
    assert network.integers is not None and network.integers.uneven == tuple(inputs.split())
    data = [{name: _drawn(name, 4) for name in inputs.split()}] if " " in inputs else _drawn("x", 4)
    for run in _verified(content, tmp_path, data):
        (layer,) = [one for one in run.layers if not one.layer.startswith("input")]
        assert layer.differing_count and layer.reason is not None and "not simulated" in layer.reason
