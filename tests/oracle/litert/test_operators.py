"""Every operator that is read, against LiteRT's kernels: network and graph, at several numbers of samples."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("ai_edge_litert")
from qdiag.litert.operators import OPERATORS
from tests.networks.litert_files import lite_bytes, op
from tests.oracle.litert.against_litert import compared, interpreter

Array = npt.NDArray[Any]
RNG = np.random.default_rng(0)


def f(*shape: int, low: float = -2.0, high: float = 2.0) -> Array:
    return RNG.uniform(low, high, shape).astype(np.float32)


def i(*numbers: Any) -> Array:
    return np.asarray(numbers, np.int32)


IMAGE = (6, 7, 4)


@dataclass(frozen=True)
class Case:
    """One operator.

    Attributes:
        data: names of its inputs in order, `x` and `z` among them for what is given.
        shapes: behind the axis of samples.
        bounds: between which inputs are drawn.
        dtype: of the output. shape: of it, where the runtime does not find it by itself.
    """

    name: str
    data: str = "x"
    constants: dict[str, Array] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"x": IMAGE})
    outputs: str = "y"
    bounds: tuple[float, float] = (-2.0, 2.0)
    dtype: Any = np.float32
    tolerance: float = 3e-6
    shape: tuple[int, ...] = (1, 1, 1, 1)

    @property
    def kind(self) -> str:
        return self.name.split()[0]


ROWS = {"x": (5,)}
WINDOW: dict[str, Any] = {"strideH": 2, "strideW": 1}
CONV = {"w": f(5, 3, 2, 4), "b": f(5)}
CASES = [
    Case("CONV_2D same", "x w b", CONV, {**WINDOW, "padding": 0}),
    Case("CONV_2D valid relu6", "x w b", CONV, {**WINDOW, "padding": 1, "fusedActivationFunction": 3}),
    Case("CONV_2D dilated", "x w b", CONV, {"strideH": 1, "strideW": 1, "dilationHFactor": 2, "dilationWFactor": 3}),
    Case("CONV_2D groups", "x w b", {"w": f(6, 3, 3, 2), "b": f(6)}, {"strideH": 1, "strideW": 1}),
    Case(
        "DEPTHWISE_CONV_2D two for each",
        "x w b",
        {"w": f(1, 3, 3, 8), "b": f(8)},
        {"strideH": 2, "strideW": 2, "depthMultiplier": 2, "fusedActivationFunction": 1},
    ),
    *(
        Case(
            f"TRANSPOSE_CONV {'valid' if padding else 'same'} {size}",
            "size w x b",
            {"size": i(1, *size, 3), "w": f(3, 3, 2, 4), "b": f(3)},
            {"strideH": 2, "strideW": 2, "padding": padding},
        )
        for padding, size in ((0, (12, 14)), (0, (11, 13)), (1, (13, 14)))
    ),
    Case("FULLY_CONNECTED", "x w b", {"w": f(3, 5), "b": f(3)}, shapes=ROWS),
    Case("FULLY_CONNECTED image", "x w -", {"w": f(3, 168)}, {"fusedActivationFunction": 1}),
    Case("FULLY_CONNECTED keeps axes", "x w b", {"w": f(3, 4), "b": f(3)}, {"keepNumDims": True}),
    Case("BATCH_MATMUL", "x z", shapes={"x": (2, 3, 4), "z": (2, 4, 5)}),
    Case("BATCH_MATMUL turned", "x z", options={"adjY": True}, shapes={"x": (3, 4), "z": (5, 4)}),
    *(Case(f"{kind} two images", "x z", shapes={"x": IMAGE, "z": IMAGE}) for kind in ("ADD", "SUB", "MUL")),
    Case("ADD relu", "x z", options={"fusedActivationFunction": 1}, shapes={"x": IMAGE, "z": IMAGE}),
    Case("ADD channels", "x c", {"c": f(4)}),
    Case("SUB from a number", "c x", {"c": np.asarray(1.5, np.float32)}),
    Case("MUL of a map", "c x", {"c": f(1, 6, 7, 1)}),
    Case("MUL gate", "x z", shapes={"x": IMAGE, "z": (1, 1, 4)}),
    Case("DIV", "x c", {"c": f(4, low=1.0)}),
    Case("MAXIMUM", "x z", shapes={"x": IMAGE, "z": IMAGE}),
    Case("MINIMUM", "x c", {"c": f(1, 1, 1, 4)}),
    Case("SQUARED_DIFFERENCE", "x z", shapes={"x": IMAGE, "z": IMAGE}),
    Case("POW", "x c", {"c": np.asarray(2.5, np.float32)}, bounds=(0.1, 2.0)),
    Case("ADD_N", "x z x", shapes={"x": IMAGE, "z": IMAGE}),
    *(Case(kind) for kind in ("ABS", "CEIL", "COS", "EXP", "FLOOR", "NEG", "ROUND", "SIGN", "SIN", "SQUARE")),
    *(Case(kind, bounds=(0.1, 3.0)) for kind in ("LOG", "SQRT", "RSQRT")),
    *(Case(kind, bounds=(-8.0, 8.0)) for kind in ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "TANH")),
    *(Case(kind, bounds=(-8.0, 8.0)) for kind in ("LOGISTIC", "HARD_SWISH", "ELU")),
    Case("LEAKY_RELU", options={"alpha": 0.2}),
    Case("PRELU", "x c", {"c": f(1, 1, 4)}),
    Case("PRELU map", "x c", {"c": f(6, 7, 4)}),
    *(Case(f"GELU {how}", options={"approximate": how}, tolerance=2e-5) for how in (False, True)),
    Case("SOFTMAX image", options={"beta": 0.5}),
    Case("SOFTMAX rows", options={"beta": 1.0}, shapes=ROWS),
    Case("LOG_SOFTMAX", shapes=ROWS),
    Case("LOG_SOFTMAX image"),
    Case("L2_NORMALIZATION"),
    Case("L2_NORMALIZATION rows", shapes=ROWS),
    Case("L2_NORMALIZATION below the least norm", bounds=(-1e-7, 1e-7)),
    Case(
        "LOCAL_RESPONSE_NORMALIZATION",
        options={"radius": 2, "alpha": 0.3, "beta": 0.75, "bias": 1.5},
        shapes={"x": (4, 5, 7)},
    ),
    Case("LOCAL_RESPONSE_NORMALIZATION wide", options={"radius": 5, "alpha": 1e-2, "beta": 0.5, "bias": 1.0}),
    *(
        Case(f"{kind} {padding}", options={**WINDOW, "padding": padding, "filterHeight": 3, "filterWidth": 2})
        for kind in ("AVERAGE_POOL_2D", "MAX_POOL_2D")
        for padding in (0, 1)
    ),
    *(
        Case(f"{kind} {keep}", "x a", {"a": i(1, 2)}, {"keepDims": keep})
        for kind in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN")
        for keep in (False, True)
    ),
    Case("MEAN channels", "x a", {"a": i(-1)}, {"keepDims": False}),
    Case("REDUCE_PROD", "x a", {"a": i(3)}, {"keepDims": True}),
    *(Case(kind, "x a", {"a": i(-1)}, {"outputType": 2}, dtype=np.int32) for kind in ("ARG_MAX", "ARG_MIN")),
    Case("RESHAPE flat", "x s", {"s": i(1, 168)}),
    Case("RESHAPE image", "x s", {"s": i(1, 2, 2, 3)}, shapes={"x": (12,)}),
    Case("SQUEEZE", options={"squeezeDims": i(1)}, shapes={"x": (1, 7, 4)}),
    Case("EXPAND_DIMS", "x a", {"a": i(1)}, shapes={"x": (7, 4)}),
    Case("TRANSPOSE", "x p", {"p": i(0, 3, 1, 2)}),
    Case("PAD", "x p", {"p": np.asarray([[0, 0], [1, 2], [0, 1], [2, 0]], np.int32)}),
    Case("PADV2", "x p c", {"p": np.asarray([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32), "c": f(1)}),
    Case("MIRROR_PAD", "x p", {"p": np.asarray([[0, 0], [1, 2], [0, 1], [0, 0]], np.int32)}, {"mode": 0}),
    *(
        Case(f"MIRROR_PAD symmetric {name}", "x p", {"p": np.asarray([[0, 0], *pairs], np.int32)}, {"mode": 1})
        for name, pairs in (
            ("one", [[1, 1], [1, 1], [0, 0]]),
            ("wide", [[6, 2], [0, 3], [2, 0]]),
            ("none", [[0, 0], [0, 0], [0, 0]]),
        )
    ),
    Case("BROADCAST_TO", "x s", {"s": i(1, 3, 4)}, shapes={"x": (1, 4)}, shape=(1, 3, 4)),
    Case("TILE", "x s", {"s": i(1, 2, 1, 3)}),
    Case("CONCATENATION", "x z", options={"axis": -1}, shapes={"x": IMAGE, "z": (6, 7, 2)}),
    Case("CONCATENATION rows", "x z", options={"axis": 1}, shapes={"x": IMAGE, "z": (2, 7, 4)}),
    Case("SPLIT", "a x", {"a": np.asarray(3, np.int32)}, {"numSplits": 2}, outputs="y y2"),
    Case("SPLIT_V", "x s a", {"s": i(1, 3), "a": np.asarray(3, np.int32)}, {"numSplits": 2}, outputs="y y2"),
    Case("SLICE", "x s n", {"s": i(0, 1, 0, 2), "n": i(-1, 3, 7, -1)}, shape=(1, 3, 7, 2)),
    Case(
        "STRIDED_SLICE",
        "x s e n",
        {"s": i(0, 1, 0, 0), "e": i(1, 6, -1, 4), "n": i(1, 2, 1, 3)},
        {"beginMask": 9, "endMask": 8},
    ),
    Case(
        "STRIDED_SLICE one",
        "x s e n",
        {"s": i(0, -1, 0, 0), "e": i(0, 0, 0, 4), "n": i(1, 1, 1, 1)},
        {"beginMask": 5, "endMask": 5, "shrinkAxisMask": 2},
    ),
    Case("GATHER", "x g", {"g": i(2, 0, 2)}, {"axis": 2}),
    Case("PACK", "x z", options={"axis": 1, "valuesCount": 2}, shapes={"x": (5,), "z": (5,)}),
    Case("UNPACK", options={"axis": 1, "num": 2}, shapes={"x": (2, 5)}, outputs="y y2"),
    *(
        Case(f"{kind} {name} {size}", "x s", {"s": i(*size)}, {"alignCorners": corners, "halfPixelCenters": centres})
        for kind in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
        for name, corners, centres in (("corners", True, False), ("centres", False, True), ("plain", False, False))
        for size in ((9, 11), (4, 14))
    ),
    Case("DEPTH_TO_SPACE", options={"blockSize": 2}),
    Case("SPACE_TO_DEPTH", options={"blockSize": 2}, shapes={"x": (6, 8, 3)}),
    Case("CAST", options={"inDataType": 0, "outDataType": 0}),
]


def content_of(case: Case) -> bytes:
    """The file, with the shapes of outputs as the interpreter computes them."""
    inputs = " ".join(case.shapes)
    operators = [op(case.kind, case.data, case.outputs, **case.options)]
    values: dict[str, Any] = {name: (1, *shape) for name, shape in case.shapes.items()} | case.constants
    dtypes = dict.fromkeys(case.outputs.split(), case.dtype)

    def made(shapes: dict[str, Any]) -> bytes:
        return lite_bytes(operators, values | shapes, case.outputs, inputs, dtypes=dtypes)

    names = case.outputs.split()
    details = interpreter(made(dict.fromkeys(names, case.shape))).get_output_details()
    return made({name: tuple(int(s) for s in d["shape"]) for name, d in zip(names, details, strict=True)})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_operator_gives_what_the_runtime_gives(case: Case) -> None:
    rng = np.random.default_rng(1)

    def draw(count: int) -> list[Array]:
        shapes = case.shapes.values()
        return [rng.uniform(*case.bounds, (count, *shape)).astype(np.float32) for shape in shapes]

    compared(content_of(case), draw, case.tolerance)


def test_every_operator_has_a_case() -> None:
    """Between integers and floats: `test_quantized.py`."""
    assert {case.kind for case in CASES} | {"QUANTIZE", "DEQUANTIZE"} == set(OPERATORS)
