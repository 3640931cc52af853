"""Every operator that is read, against onnxruntime: network and captured graph, at several numbers of samples."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("onnx_ir")
from qdiag.errors import CaptureError
from qdiag.onnx.operators import OPERATORS
from tests.networks.onnx_files import node, onnx_bytes
from tests.oracle.onnx.against_onnxruntime import COUNTS, compared

Array = npt.NDArray[Any]
RNG = np.random.default_rng(0)


def f(*shape: int, low: float = -2.0, high: float = 2.0) -> Array:
    return RNG.uniform(low, high, shape).astype(np.float32)


def i(*numbers: int) -> Array:
    return np.asarray(numbers, np.int64)


@dataclass(frozen=True)
class Case:
    """One node, or a few.

    Attributes:
        inputs: shapes behind the axis of samples, by name; `kinds` their types, where they are not float32.
        data: names of the inputs of the node in order; constants and inputs.
        bounds: between which the inputs are drawn.
    """

    name: str
    data: str
    inputs: dict[str, tuple[int, ...]]
    constants: dict[str, Array] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = 17
    outputs: str = "y"
    bounds: tuple[float, float] = (-2.0, 2.0)
    kinds: dict[str, str] = field(default_factory=dict)
    tolerance: float = 2e-6

    @property
    def op(self) -> str:
        return self.name.split()[0]


X = {"x": (4, 7, 6)}
V = {"x": (6,)}


def unary(op: str, low: float = -2.0, high: float = 2.0, opset: int = 17, **attributes: Any) -> Case:
    label = " ".join([op, *(f"{k}={v}" for k, v in attributes.items())])
    return Case(label, "x", X, attributes=attributes, opset=opset, bounds=(low, high))


UNARY = [
    *(unary(op) for op in ("Relu", "Sigmoid", "Tanh", "HardSwish", "Softplus", "Softsign", "Abs", "Neg", "Exp", "Erf")),
    *(
        unary(op)
        for op in ("Floor", "Ceil", "Round", "Sign", "Sin", "Cos", "Atan", "Sinh", "Cosh", "Asinh", "Identity")
    ),
    *(unary(op, 0.1, 3.0) for op in ("Log", "Sqrt", "Reciprocal")),
    *(unary(op, -0.9, 0.9) for op in ("Tan", "Asin", "Acos", "Atanh")),
    unary("Acosh", 1.1, 3.0),
    unary("Mish", opset=18),
    unary("Gelu", opset=20),
    unary("Gelu", opset=20, approximate="tanh"),
    unary("LeakyRelu", alpha=0.2),
    unary("Elu", alpha=0.7),
    unary("Selu"),
    unary("Celu", alpha=0.8),
    unary("HardSigmoid"),
    unary("HardSigmoid", alpha=1 / 6),
    unary("HardSigmoid", alpha=0.3, beta=0.4),
    unary("ThresholdedRelu", alpha=0.5),
    unary("Shrink", lambd=0.5, bias=0.5),
    unary("Shrink", lambd=0.5, bias=0.1),
    unary("Shrink", lambd=0.5),
    unary("Softmax"),
    unary("Softmax", axis=1),
    unary("Softmax", opset=9),
    unary("Softmax", opset=11, axis=3),
    unary("LogSoftmax", axis=1),
    unary("LogSoftmax", opset=11),
    unary("Hardmax"),
    unary("Hardmax", axis=1),
    unary("Dropout"),
    unary("Cast", to=6),
    unary("Cast", to=7),
    unary("Cast", to=9),
    unary("IsNaN"),
    unary("IsInf"),
]

ELEMENTWISE = [
    *(Case(op, "x z", {"x": (4, 7), "z": (4, 7)}) for op in ("Add", "Sub", "Mul", "Pow", "Min", "Max", "Sum", "Mean")),
    *(Case(op, "x z", {"x": (4, 7), "z": (4, 7)}, bounds=(0.2, 2.0)) for op in ("Div", "Pow positive", "PRelu slopes")),
    *(Case(f"{op} number", "x c", X, {"c": np.float32(1.5).reshape(())}) for op in ("Add", "Sub", "Mul", "Div")),
    *(Case(f"{op} number first", "c x", X, {"c": f(1)}, bounds=(0.3, 2.0)) for op in ("Add", "Sub", "Mul", "Div")),
    Case("Div one", "c x", X, {"c": np.ones(1, np.float32)}, bounds=(0.3, 2.0)),
    *(Case(f"{op} channels", "x c", X, {"c": f(4, 1, 1)}) for op in ("Add", "Mul", "Sub")),
    Case("Pow square", "x c", X, {"c": np.float32(2.0).reshape(())}),
    Case("Add wider", "x c", V, {"c": f(1, 1, 6)}),
    Case("Min three", "x z c", {"x": (4, 7), "z": (4, 7)}, {"c": f(7)}),
    Case("Mod fmod", "x c", X, {"c": np.float32(0.7).reshape(())}, {"fmod": 1}),
    Case("Mod", "x c", V, {"c": i(3)}, kinds={"x": "int64"}, bounds=(-9, 9)),
    Case("Div integers", "x c", V, {"c": i(3)}, kinds={"x": "int64"}, bounds=(-9, 9)),
    *(Case(op, "x z", {"x": (5,), "z": (5,)}) for op in ("Greater", "Less", "GreaterOrEqual", "LessOrEqual")),
    Case("Equal", "x c", V, {"c": i(2)}, kinds={"x": "int64"}, bounds=(0, 4)),
    *(Case(op, "x z", {"x": (9,), "z": (9,)}, kinds={"x": "bool", "z": "bool"}) for op in ("And", "Or", "Xor")),
    Case("Not", "x", {"x": (9,)}, kinds={"x": "bool"}),
    Case("Where", "m x z", {"m": (9,), "x": (9,), "z": (9,)}, kinds={"m": "bool"}),
    Case("CastLike", "x z", {"x": (9,), "z": (9,)}, kinds={"z": "int64"}),
    Case("Clip", "x l h", X, {"l": np.float32(-1.0).reshape(()), "h": np.float32(0.5).reshape(())}),
    Case("Clip relu", "x l", X, {"l": np.float32(0.0).reshape(())}),
    Case("Clip old", "x", X, attributes={"min": 0.0, "max": 6.0}, opset=9, bounds=(-3.0, 9.0)),
    Case("PRelu", "x s", X, {"s": f(4, 1, 1)}),
    Case("PRelu one", "x s", X, {"s": f(1)}),
]


def conv(label: str, shape: tuple[int, ...], weight: Array, op: str = "Conv", **attributes: Any) -> Case:
    outputs = weight.shape[1] * attributes.get("group", 1) if op == "ConvTranspose" else weight.shape[0]
    constants = {"w": weight, "b": f(outputs)}
    return Case(f"{op} {label}", "x w b", {"x": shape}, constants, attributes)


def pool(label: str, op: str = "MaxPool", opset: int = 17, **attributes: Any) -> Case:
    return Case(f"{op} {label}", "x", {"x": (3, 9, 10)}, attributes=attributes, opset=opset)


W = f(6, 4, 3, 3)
T = f(4, 5, 3, 3)
WINDOWS = [
    conv("plain", (4, 7, 6), W),
    conv("padded", (4, 7, 6), W, pads=[1, 1, 1, 1], strides=[2, 2]),
    conv("unequal padding", (4, 7, 6), W, pads=[0, 1, 1, 2]),
    conv("dilated", (4, 9, 8), W, dilations=[2, 3]),
    conv("same upper", (4, 7, 6), W, auto_pad="SAME_UPPER", strides=[2, 2]),
    conv("same lower", (4, 7, 6), W, auto_pad="SAME_LOWER", strides=[2, 2]),
    conv("valid", (4, 7, 6), W, auto_pad="VALID"),
    conv("depthwise", (4, 7, 6), f(8, 1, 3, 3), group=4),
    conv("1d", (4, 12), f(6, 4, 5), pads=[2, 2]),
    conv("3d", (2, 5, 6, 5), f(3, 2, 3, 3, 3)),
    Case("Conv without bias", "x w", {"x": (4, 7, 6)}, {"w": W}),
    conv("plain", (4, 5, 6), T, "ConvTranspose"),
    conv("strided", (4, 5, 6), T, "ConvTranspose", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    conv("unequal padding", (4, 5, 6), T, "ConvTranspose", strides=[2, 2], pads=[0, 1, 1, 2]),
    conv("output shape", (4, 5, 6), T, "ConvTranspose", strides=[2, 2], output_shape=[10, 12]),
    conv("same upper", (4, 5, 6), T, "ConvTranspose", strides=[2, 2], auto_pad="SAME_UPPER"),
    conv("groups", (4, 5, 6), f(4, 2, 3, 3), "ConvTranspose", group=2),
    conv("1d", (4, 9), f(4, 3, 4), "ConvTranspose", strides=[2]),
    pool("plain", kernel_shape=[2, 2], strides=[2, 2]),
    pool("padded", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    pool("unequal padding", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
    pool("same upper", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    pool("ceil", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    pool("dilated", kernel_shape=[2, 2], dilations=[2, 2]),
    pool("plain", "AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
    pool("padded", "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    pool("border counts", "AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    pool("unequal padding", "AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1]),
    pool("unequal border counts", "AveragePool", kernel_shape=[3, 3], pads=[0, 0, 1, 1], count_include_pad=1),
    pool("same upper", "AveragePool", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    pool("ceil", "AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    pool("dilated", "AveragePool", opset=19, kernel_shape=[2, 2], dilations=[2, 3]),
    pool(
        *("dilated padded", "AveragePool", 19),
        **{"kernel_shape": [3, 2], "dilations": [2, 2], "strides": [2, 1], "pads": [1, 1, 2, 1]},
    ),
    pool(
        *("dilated border counts", "AveragePool", 22),
        **{"kernel_shape": [3, 2], "dilations": [2, 1], "pads": [1, 1, 0, 1], "count_include_pad": 1},
    ),
    pool("dilated ceil", "AveragePool", opset=19, kernel_shape=[2, 2], dilations=[2, 2], strides=[3, 3], ceil_mode=1),
    pool("whole", "GlobalAveragePool"),
    pool("plain", "LpPool", opset=18, kernel_shape=[2, 3], strides=[2, 2]),
    pool("padded", "LpPool", opset=18, kernel_shape=[3, 3], pads=[0, 1, 1, 1], p=1),
    pool("cubes", "LpPool", opset=18, kernel_shape=[2, 2], p=3),
    pool("whole", "GlobalLpPool"),
    pool("whole", "GlobalMaxPool"),
]

NORMS = [
    Case(
        "BatchNormalization",
        "x s b m v",
        X,
        {"s": f(4), "b": f(4), "m": f(4), "v": f(4, low=0.2)},
        {"epsilon": 1e-3},
    ),
    Case("InstanceNormalization", "x s b", X, {"s": f(4), "b": f(4)}),
    Case("LayerNormalization", "x s b", X, {"s": f(6), "b": f(6)}),
    Case("LayerNormalization two axes", "x s b", X, {"s": f(7, 6), "b": f(7, 6)}, {"axis": 2, "epsilon": 1e-3}),
    Case("LayerNormalization no bias", "x s", X, {"s": f(6)}),
    Case("GroupNormalization", "x s b", X, {"s": f(4), "b": f(4)}, {"num_groups": 2}, opset=21),
    Case("GroupNormalization old", "x s b", X, {"s": f(2), "b": f(2)}, {"num_groups": 2}, opset=18),
    Case("LRN", "x", {"x": (7, 5, 4)}, attributes={"size": 3, "alpha": 0.1}),
    Case("LpNormalization", "x", X, attributes={"axis": 1}),
    Case("LpNormalization sum", "x", X, attributes={"axis": -1, "p": 1}),
    Case("MeanVarianceNormalization", "x", X, attributes={"axes": [2, 3]}),
]

PRODUCTS = [
    Case("Gemm", "x w b", V, {"w": f(5, 6), "b": f(5)}, {"transB": 1}),
    Case("Gemm plain", "x w b", V, {"w": f(6, 5), "b": f(1, 5)}),
    Case("Gemm no bias", "x w", V, {"w": f(6, 5)}),
    Case("Gemm scaled", "x w b", V, {"w": f(6, 5), "b": f(5)}, {"alpha": 0.5, "beta": 2.0}),
    Case("Gemm one bias", "x w b", V, {"w": f(6, 5), "b": f(1)}),
    Case("MatMul weight", "x w", {"x": (3, 6)}, {"w": f(6, 5)}),
    Case("MatMul", "x z", {"x": (3, 6), "z": (6, 2)}),
    Case("MatMul left", "w x", {"x": (3, 6)}, {"w": f(5, 3)}),
    Case("Einsum", "x z", {"x": (3, 6), "z": (2, 6)}, attributes={"equation": "bij, bkj -> bik"}),
]

REDUCTIONS = [
    *(Case(op, "x", X, attributes={"axes": [2, 3]}) for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")),
    *(Case(op, "x", X, attributes={"axes": [-1], "keepdims": 0}) for op in ("ReduceL1", "ReduceL2", "ReduceSumSquare")),
    Case("ReduceLogSumExp", "x", X, attributes={"axes": [1]}),
    Case("ReduceLogSum", "x", X, attributes={"axes": [1]}, bounds=(0.1, 2.0)),
    Case("ReduceSum", "x a", X, {"a": i(1, -1)}),
    Case("ReduceSum nothing", "x", X, attributes={"noop_with_empty_axes": 1}),
    Case("ReduceMean new", "x a", X, {"a": i(1)}, opset=18),
    Case("ArgMax", "x", X, attributes={"axis": 1}),
    Case("ArgMin", "x", X, attributes={"axis": -1, "keepdims": 0}),
    Case("TopK", "x k", X, {"k": i(3)}, {"axis": 2}, outputs="y z"),
    Case("TopK smallest", "x k", X, {"k": i(2)}, {"largest": 0}, outputs="y z"),
    Case("CumSum", "x a", X, {"a": i(2)}, tolerance=0.0),
    Case("CumSum reverse", "x a", X, {"a": i(-1)}, {"reverse": 1}, tolerance=0.0),
    Case("CumSum exclusive", "x a", X, {"a": i(3)}, {"exclusive": 1}, tolerance=0.0),
    Case("CumSum reverse exclusive", "x a", X, {"a": i(-1)}, {"reverse": 1, "exclusive": 1}, tolerance=0.0),
    Case("CumSum integers", "x a", V, {"a": i(1)}, kinds={"x": "int64"}, bounds=(-9, 9)),
    Case("Trilu", "x", X),
    Case("Trilu lower", "x k", X, {"k": np.asarray(1)}, {"upper": 0}),
    Case("OneHot", "x d v", {"x": (5,)}, {"d": i(4), "v": f(2)}, kinds={"x": "int64"}, bounds=(-3, 4)),
]

SHAPES = [
    Case("Reshape", "x s", X, {"s": i(0, -1, 6)}),
    Case("Reshape open batch", "x s", X, {"s": i(-1, 28, 6)}),
    Case("Flatten", "x", X),
    Case("Flatten two", "x", X, attributes={"axis": 2}),
    Case("Flatten last", "x", X, attributes={"axis": -1}),
    Case("Flatten vectors", "x", {"x": ()}),
    Case("Squeeze", "x a", {"x": (1, 4, 1)}, {"a": i(1, -1)}),
    Case("Squeeze old", "x", {"x": (1, 4)}, attributes={"axes": [1]}, opset=11),
    Case("Unsqueeze", "x a", X, {"a": i(1, -1)}),
    Case("Unsqueeze old", "x", X, attributes={"axes": [2]}, opset=9),
    Case("Transpose", "x", X, attributes={"perm": [0, 2, 3, 1]}),
    Case("Expand", "x s", {"x": (4, 1)}, {"s": i(1, 4, 5)}),
    Case("Tile", "x r", X, {"r": i(1, 2, 1, 3)}),
    Case("Pad", "x p v", X, {"p": i(0, 0, 1, 2, 0, 0, 0, 1), "v": np.float32(0.5).reshape(())}),
    Case("Pad reflect", "x p", X, {"p": i(0, 0, 1, 2, 0, 0, 0, 1)}, {"mode": "reflect"}),
    Case("Pad edge", "x p", X, {"p": i(0, 0, 1, 2, 0, 0, 0, 1)}, {"mode": "edge"}),
    Case("Pad edge of one axis", "x p", X, {"p": i(0, 0, 0, 1, 0, 0, 0, 2)}, {"mode": "edge"}),
    Case("Pad wrap", "x p", X, {"p": i(0, 0, 1, 2, 0, 0, 0, 1)}, {"mode": "wrap"}, opset=19),
    Case("Pad wrap of channels", "x p - a", X, {"p": i(2, 1), "a": i(1)}, {"mode": "wrap"}, opset=21),
    Case("Pad wrap of vectors", "x p - a", V, {"p": i(2, 1), "a": i(1)}, {"mode": "wrap"}, opset=19),
    Case("Pad wrap and cut", "x p", X, {"p": i(0, 0, 2, -1, 0, 0, -1, 3)}, {"mode": "wrap"}, opset=19),
    Case("Pad old", "x", X, attributes={"pads": [0, 0, 1, 2, 0, 0, 0, 1], "value": 1.0}, opset=9),
    Case("Pad axes", "x p - a", X, {"p": i(1, 2), "a": i(-1)}, opset=18),
    Case("DepthToSpace", "x", {"x": (8, 3, 4)}, attributes={"blocksize": 2}),
    Case("DepthToSpace CRD", "x", {"x": (8, 3, 4)}, attributes={"blocksize": 2, "mode": "CRD"}),
    Case("SpaceToDepth", "x", {"x": (2, 4, 6)}, attributes={"blocksize": 2}),
    Case("Concat", "x z c", {"x": (4, 3), "z": (2, 3)}, {}, {"axis": 1}),
    Case("Split", "x s", X, {"s": i(1, 3)}, {"axis": 1}, outputs="y z"),
    Case("Split equal", "x", X, attributes={"axis": 3}, outputs="y z"),
    Case("Split old", "x", X, attributes={"axis": 1, "split": [3, 1]}, outputs="y z", opset=11),
    Case("Split count", "x", X, attributes={"axis": 2, "num_outputs": 3}, outputs="y z w", opset=18),
    Case("Slice", "x b e a s", X, {"b": i(1, 0), "e": i(2**62, -1), "a": i(2, 3), "s": i(2, 1)}),
    Case("Slice backwards", "x b e a s", X, {"b": i(-1), "e": i(-(2**62)), "a": i(3), "s": i(-2)}),
    Case("Slice old", "x", X, attributes={"starts": [1], "ends": [3], "axes": [1]}, opset=9),
    Case("Gather", "x k", X, {"k": i(2, 0, -1)}, {"axis": 1}),
    Case("Gather one", "x k", X, {"k": np.asarray(-2)}, {"axis": 2}),
    Case("Gather list of one", "x k", X, {"k": i(3)}, {"axis": 1}),
    Case("Gather matrix", "x k", X, {"k": i(0, 2, 1, 3).reshape(2, 2)}, {"axis": 1}),
    Case("Gather table", "t x", {"x": (5,)}, {"t": f(9, 4)}, kinds={"x": "int64"}, bounds=(0, 9)),
    Case("GatherElements", "x k", {"x": (4,), "k": (3,)}, {}, {"axis": 1}, kinds={"k": "int64"}, bounds=(0, 4)),
    Case(
        "ScatterElements",
        "x k u",
        {"x": (9,), "k": (1,), "u": (1,)},
        {},
        {"axis": 1},
        kinds={"k": "int64"},
        bounds=(0, 9),
    ),
    Case("GatherND", "x k", {"x": (4,)}, {"k": i(0, 1, 0, 3).reshape(2, 2)}),
    Case("ScatterND", "x k u", {"x": (4,)}, {"k": i(0, 1, 0, 3).reshape(2, 2), "u": f(2)}),
]


def resize(
    label: str, opset: int = 17, shape: tuple[int, ...] = (3, 5, 6), to: tuple[float, ...] = (), **attributes: Any
) -> Case:
    constants = {"f": np.asarray([1.0, 1.0, *(to or (2.0,) * (len(shape) - 1))], np.float32)}
    data = "x f" if opset < 11 else "x - f"
    return Case(f"{'Upsample' if opset < 10 else 'Resize'} {label}", data, {"x": shape}, constants, attributes, opset)


AUDIO = [
    Case("STFT", "x s w", {"x": (40, 1)}, {"s": np.asarray(5), "w": f(16, low=0.1)}, tolerance=5e-6),
    Case(
        "STFT two sides",
        "x s - l",
        {"x": (40, 1)},
        {"s": np.asarray(8), "l": np.asarray(16)},
        {"onesided": 0},
        tolerance=5e-6,
    ),
    Case("DFT", "x", {"x": (12, 1)}, {}, {"axis": 1}, tolerance=5e-6),
    Case("DFT one side", "x", {"x": (12, 1)}, {}, {"axis": 1, "onesided": 1}, tolerance=5e-6),
    Case("DFT complex", "x", {"x": (9, 3, 2)}, {}, {"axis": 1, "inverse": 1}, tolerance=5e-6),
    Case("DFT new", "x - a", {"x": (12, 1)}, {"a": np.asarray(1)}, {}, opset=20, tolerance=5e-6),
]

RESIZING = [
    resize("nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    resize("nearest centres"),
    resize("nearest down", to=(0.5, 0.7), coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    *(
        resize(
            f"nearest {where} {rounding}", to=(1.7, 0.6), coordinate_transformation_mode=where, nearest_mode=rounding
        )
        for where in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
        for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    ),
    resize("linear", mode="linear"),
    resize("linear odd factor", to=(1.7, 2.3), mode="linear"),
    resize("linear corners", mode="linear", coordinate_transformation_mode="align_corners"),
    resize("linear asymmetric", mode="linear", coordinate_transformation_mode="asymmetric"),
    resize("linear asymmetric 3d", shape=(2, 4, 5, 3), mode="linear", coordinate_transformation_mode="asymmetric"),
    resize("linear asymmetric down", to=(0.4, 1.5), mode="linear", coordinate_transformation_mode="asymmetric"),
    resize("nearest symmetric", to=(1.7, 0.6), coordinate_transformation_mode="half_pixel_symmetric", opset=19),
    resize("cubic", mode="cubic"),
    resize("1d", shape=(3, 5), mode="linear"),
    resize("old", opset=10),
    resize("older", opset=9),
    Case("Resize to sizes", "x - - s", {"x": (3, 5, 6)}, {"s": i(2, 3, 9, 7)}, {"mode": "linear"}),
    Case("GridSample", "x g", {"x": (3, 5, 6), "g": (4, 3, 2)}, bounds=(-1.1, 1.1), opset=16),
    Case(
        "GridSample border",
        "x g",
        {"x": (3, 5, 6), "g": (4, 3, 2)},
        attributes={"mode": "nearest", "padding_mode": "border", "align_corners": 1},
        bounds=(-1.0, 1.0),
        opset=16,
    ),
]

CASES = [*AUDIO, *UNARY, *ELEMENTWISE, *WINDOWS, *NORMS, *PRODUCTS, *REDUCTIONS, *SHAPES, *RESIZING]


def drawn(case: Case, count: int) -> dict[str, Array]:
    low, high = case.bounds
    found: dict[str, Array] = {}
    for name, shape in case.inputs.items():
        kind = case.kinds.get(name, "float32")
        whole = (count, *shape)
        if kind == "int64":
            found[name] = RNG.integers(int(low), int(high), whole)
        elif kind == "bool":
            found[name] = RNG.random(whole) < 0.5
        else:
            found[name] = RNG.uniform(low, high, whole).astype(np.float32)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_operator(case: Case) -> None:
    inputs = {name: (case.kinds.get(name, "float32"), ["N", *shape]) for name, shape in case.inputs.items()}
    fixed = any(name in case.name for name in ("to sizes", "ND"))
    names = [name for name in case.data.split() if name in case.inputs or name in case.constants or name == "-"]
    content = onnx_bytes(
        [node(case.op, " ".join(names), case.outputs, **case.attributes)],
        inputs,
        case.constants,
        case.outputs.split(),
        case.opset,
    )
    counts = COUNTS[:1] if fixed else COUNTS
    compared(content, [drawn(case, count) for count in counts], case.tolerance, is_free=case.name != "Resize to sizes")


def test_every_operator_has_a_case() -> None:
    tried = {case.op for case in CASES} | {"If", "LSTM", "GRU", "RNN", "Shape", "Size", "Range", "ConstantOfShape"}
    tried |= {"Attention", "RotaryEmbedding", "com.microsoft.RotaryEmbedding"}  # in test_attention.py
    tried |= {"HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix"}  # constants, below
    missing = {kind for kind in OPERATORS if not kind.startswith("qdiag.")} - tried
    assert missing == {
        "Swish",
        "RMSNormalization",
        "SimplifiedLayerNormalization",
        "Scatter",
    }  # of opsets that onnxruntime does not compute here


@pytest.mark.parametrize("periodic", [0, 1])
@pytest.mark.parametrize("op", ["HannWindow", "HammingWindow", "BlackmanWindow"])
def test_a_window_is_a_constant(op: str, periodic: int) -> None:
    nodes = [node(op, "n", "w", periodic=periodic), node("Mul", "x w", "y")]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 9])}, {"n": np.asarray(9)})
    compared(content, [{"x": f(count, 9)} for count in COUNTS])


def test_mel_filters_are_a_weight() -> None:
    numbers = {"a": np.asarray(8), "b": np.asarray(64), "c": np.asarray(16000)}
    edges = {"d": np.asarray(20.0, np.float32), "e": np.asarray(8000.0, np.float32)}
    nodes = [node("MelWeightMatrix", "a b c d e", "w"), node("MatMul", "x w", "y")]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 4, 33])}, {**numbers, **edges})
    compared(content, [{"x": f(count, 4, 33)} for count in COUNTS])


def test_a_dilated_mean_whose_size_is_not_agreed_on_is_refused() -> None:
    """onnxruntime leaves the dilation out where `auto_pad` asks for the size of the input, and ONNX does not."""
    nodes = [node("AveragePool", "x", "y", "mean", kernel_shape=[3], dilations=[2], auto_pad="SAME_UPPER")]
    content = onnx_bytes(nodes, {"x": ("float32", ["N", 2, 9])}, opset=19)
    with pytest.raises(CaptureError, match="auto_pad SAME") as refused:
        compared(content, [{"x": f(2, 2, 9)}])
    assert "mean" in str(refused.value)
