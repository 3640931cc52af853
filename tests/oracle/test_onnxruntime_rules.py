"""`arithmetic = "ort"` against onnxruntime, one operation at a time: no integer may differ, and kernels are named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.onnxruntime import functions
from qdiag.simulate.arithmetic.table import difference_to_runtime
from tests.cases import open_test_case

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
from tests.oracle.single_operators import Build, File, run_both, run_float


class Of1(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Of2(nn.Module):
    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.function(x, y)


class Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.net = kind(4, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)[0]  # type: ignore[no-any-return]


def reasons_for(module: nn.Module, inputs: Sequence[Tensor]) -> dict[str, str]:
    """Why integers of a layer may differ, for those where they may."""
    scheme = replace(load_preset("int8"), arithmetic="ort")
    case = open_test_case(module.eval(), [Batch(tuple(inputs))], scheme)
    network = case.network
    found = {
        one.name: difference_to_runtime(case.plan, one, network.node(one.nodes[0])) for one in network.graph.layers
    }
    return {name: reason for name, reason in found.items() if reason is not None}


def drawn(*shape: int, mean: float = 0.0, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 1.3 + mean


def plain(kind: str, **attributes: Any) -> Build:
    return lambda file, inputs: file.node(kind, *inputs, **attributes)


def mean_of(axes: list[int]) -> Build:
    return lambda file, inputs: file.node("ReduceMean", *inputs, file.constant(np.array(axes, np.int64)), keepdims=0)


def resized(mode: str, *sizes: int) -> Build:
    return lambda file, inputs: file.node(
        *("Resize", inputs[0], "", "", file.constant(np.array(sizes, np.int64))),
        mode="linear",
        coordinate_transformation_mode=mode,
    )


def with_number(kind: str, number: float) -> Build:
    """As a QLinear operator takes a number: one step of its own size."""

    def build(file: File, inputs: list[str]) -> str:
        q = file.plan.layers["input:x"].output
        assert isinstance(q, Affine)
        is_unsigned_negative = q.quant_min == 0 and number < 0.0
        own = replace(q, scale=torch.tensor(abs(number)), zero_point=torch.tensor(float(is_unsigned_negative)))
        return file.node(kind, inputs[0], file.dequantized(file.stored(torch.tensor(number), own), own))

    return build


def silu(file: File, inputs: list[str]) -> str:
    return file.node("Mul", inputs[0], file.node("Sigmoid", inputs[0]))


@dataclass(frozen=True)
class Operation:
    """What is computed, on what, as which operators of ONNX, and the kernels that onnxruntime has to choose."""

    name: str
    module: nn.Module
    inputs: Sequence[Tensor]
    build: Build
    kernels: tuple[str, ...]
    signs: tuple[bool, ...] = field(default=(False,))


IMAGES, OTHERS = drawn(4, 6, 9, 11), drawn(4, 6, 9, 11, mean=0.5, seed=1) * 2.1
BOTH = (False, True)
ROOTS = {width: nn.RMSNorm(width, eps=1e-5) for width in (11, 48)}
for one in ROOTS.values():
    nn.init.uniform_(one.weight, 0.5, 1.5, generator=torch.Generator().manual_seed(1))
NORM = nn.LayerNorm(48)
nn.init.uniform_(NORM.weight, 0.5, 1.5, generator=torch.Generator().manual_seed(1))
OPERATIONS = (
    Operation("add", Of2(torch.add), (IMAGES, OTHERS), plain("Add"), ("QLinearAdd",), BOTH),
    Operation(
        *("add_channels", Of2(torch.add), (IMAGES[:, :, :1, :1].contiguous(), OTHERS), plain("Add"), ("QLinearAdd",)),
        BOTH,
    ),
    Operation("mul", Of2(torch.mul), (IMAGES, OTHERS), plain("Mul"), ("QLinearMul",), BOTH),
    Operation("mul_gate", Of2(torch.mul), (IMAGES, OTHERS[:, :, :1, :1].contiguous()), plain("Mul"), ("QLinearMul",)),
    Operation("add_number", Of1(lambda x: x - 0.75), (IMAGES,), with_number("Add", -0.75), ("QLinearAdd",), BOTH),
    Operation("mul_number", Of1(lambda x: x / 6.0), (IMAGES,), with_number("Mul", 1.0 / 6.0), ("QLinearMul",), BOTH),
    Operation(
        "square",
        Of1(torch.square),
        (IMAGES,),
        lambda file, inputs: file.node("Mul", inputs[0], inputs[0]),
        ("QLinearMul",),
    ),
    Operation(
        "power",
        Of1(lambda x: x**3),
        (IMAGES,),
        lambda file, inputs: file.node("Pow", inputs[0], file.constant(np.float32(3.0))),
        ("Pow",),
    ),
    Operation(
        "root",
        Of1(lambda x: x**0.75),
        (IMAGES.abs(),),
        lambda file, inputs: file.node("Pow", inputs[0], file.constant(np.float32(0.75))),
        ("Pow",),
    ),
    Operation("sub", Of2(torch.sub), (IMAGES, OTHERS), plain("Sub"), ("Sub",)),
    Operation("div", Of2(torch.div), (IMAGES, OTHERS.abs() + 1.0), plain("Div"), ("Div",)),
    Operation(
        "concat",
        Of2(lambda x, y: torch.cat([x, y], 1)),
        (IMAGES, OTHERS),
        plain("Concat", axis=1),
        ("QLinearConcat",),
        BOTH,
    ),
    Operation(
        *("matmul", Of2(torch.matmul), (drawn(2, 3, 20, 33), drawn(2, 3, 33, 18)), plain("MatMul"), ("QLinearMatMul",)),
        BOTH,
    ),
    Operation(
        *("long_matmul", Of2(torch.matmul), (drawn(2, 9, 633), drawn(2, 633, 8)), plain("MatMul"), ("QLinearMatMul",)),
    ),
    Operation(
        "global_pool",
        Of1(lambda x: F.adaptive_avg_pool2d(x, 1)),
        (drawn(32, 32, 7, 7),),
        plain("GlobalAveragePool"),
        ("QLinearGlobalAveragePool",),
        BOTH,
    ),
    Operation(
        "pool_with_padding",
        Of1(lambda x: F.avg_pool2d(x, 3, 2, 1)),
        (IMAGES,),
        plain("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1),
        ("QLinearAveragePool",),
        BOTH,
    ),
    Operation(
        "pool_of_2",
        Of1(lambda x: F.avg_pool2d(x, 2)),
        (drawn(4, 6, 8, 8),),
        plain("AveragePool", kernel_shape=[2, 2], strides=[2, 2]),
        ("QLinearAveragePool",),
    ),
    Operation(
        "adaptive_pool_of_2",
        Of1(lambda x: F.adaptive_avg_pool2d(x, (2, 4))),
        (drawn(8, 6, 6, 12),),
        plain("AveragePool", kernel_shape=[3, 3], strides=[3, 3]),
        ("QLinearAveragePool",),
    ),
    Operation("mean_of_16_tokens", Of1(lambda x: x.mean(1)), (drawn(16, 16, 40),), mean_of([1]), ("ReduceMean",)),
    Operation("mean_of_51_tokens", Of1(lambda x: x.mean(1)), (drawn(16, 51, 40),), mean_of([1]), ("ReduceMean",)),
    Operation("mean_of_last_50", Of1(lambda x: x.mean(-1)), (drawn(4, 9, 20, 50),), mean_of([-1]), ("ReduceMean",)),
    Operation(
        "softmax",
        Of1(lambda x: torch.softmax(x, -1)),
        (drawn(8, 20, 37) * 3.0,),
        plain("Softmax", axis=-1),
        ("QLinearSoftmax",),
        BOTH,
    ),
    Operation(
        "softmax_of_channels",
        Of1(lambda x: torch.softmax(x, 1)),
        (drawn(8, 20, 9) * 3.0,),
        plain("Softmax", axis=1),
        ("QLinearSoftmax",),
    ),
    Operation("sigmoid", Of1(torch.sigmoid), (IMAGES * 2.0,), plain("Sigmoid"), ("QLinearSigmoid",), BOTH),
    Operation("tanh", Of1(torch.tanh), (IMAGES,), plain("Tanh"), ("Tanh",)),
    Operation("saturated_tanh", Of1(torch.tanh), (IMAGES * 2.7,), plain("Tanh"), ("Tanh",)),
    Operation("gelu", Of1(F.gelu), (IMAGES * 2.0,), plain("Gelu"), ("Gelu",)),
    Operation("silu", Of1(F.silu), (IMAGES * 2.0,), silu, ("Sigmoid", "Mul")),
    Operation("hardswish", Of1(F.hardswish), (IMAGES * 2.0,), plain("HardSwish"), ("HardSigmoid", "Mul")),
    Operation(
        "hardsigmoid", Of1(F.hardsigmoid), (IMAGES * 2.0,), plain("HardSigmoid", alpha=1.0 / 6.0), ("HardSigmoid",)
    ),
    Operation(
        *("leaky_relu", Of1(lambda x: F.leaky_relu(x, 0.1)), (IMAGES,), plain("LeakyRelu", alpha=0.1)),
        ("QLinearLeakyRelu",),
    ),
    Operation(
        "layer_norm",
        NORM,
        (drawn(16, 50, 48, mean=0.7),),
        lambda file, inputs: file.node(
            "LayerNormalization",
            inputs[0],
            file.constant(NORM.weight.detach().numpy()),
            file.constant(NORM.bias.detach().numpy()),
            axis=-1,
            epsilon=1e-5,
        ),
        ("LayerNormalization",),
        BOTH,
    ),
    *(
        Operation(
            f"rms_norm_{width}",
            norm,
            (drawn(16, 50, width, mean=0.7),),
            lambda file, inputs, norm=norm: file.node(
                *("SimplifiedLayerNormalization", inputs[0], file.constant(norm.weight.detach().numpy())),
                axis=-1,
                epsilon=1e-5,
            ),
            ("SimplifiedLayerNormalization",),
            BOTH,
        )
        for width, norm in ROOTS.items()
    ),
    Operation(
        "resize_twofold",
        Of1(lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear")),
        (IMAGES,),
        resized("half_pixel", 4, 6, 18, 22),
        ("Resize",),
    ),
    Operation(
        "resize_corners",
        Of1(lambda x: F.interpolate(x, size=(13, 17), mode="bilinear", align_corners=True)),
        (IMAGES,),
        resized("align_corners", 4, 6, 13, 17),
        ("Resize",),
    ),
)
CASES = [(operation, signed) for operation in OPERATIONS for signed in operation.signs]


@pytest.mark.parametrize(("operation", "signed"), CASES, ids=[f"{o.name}-{'s8' if s else 'u8'}" for o, s in CASES])
def test_no_integer_differs_from_onnxruntime(operation: Operation, signed: bool) -> None:
    activations = TensorScheme(symmetric=False, signed=signed)
    scheme = QuantScheme(activations=activations, arithmetic="ort")
    both = run_both(operation.module, operation.inputs, operation.build, scheme)
    assert set(both.operators) - {"QuantizeLinear", "DequantizeLinear"} == set(operation.kernels)
    np.testing.assert_array_equal(both.simulated, both.runtime)
    assert len(np.unique(both.runtime)) > 20, "a constant tensor would prove nothing"


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "erf", "gelu", "tanh_gelu", "hard_sigmoid", "hard_swish"])
def test_functions_are_those_of_onnxruntime_bit_for_bit(name: str) -> None:
    operators: dict[str, tuple[str, dict[str, Any]]] = {
        "tanh_gelu": ("Gelu", {"approximate": "tanh"}),
        "hard_sigmoid": ("HardSigmoid", {"alpha": 1.0 / 6.0}),
        "hard_swish": ("HardSwish", {}),
    }
    x = torch.linspace(-20.0, 20.0, 40_001)
    kind, attributes = operators.get(name, (name.capitalize(), {}))
    (expected,) = run_float(kind, x, **attributes)
    np.testing.assert_array_equal(getattr(functions, name)(x).numpy(), expected)


class Masked(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(x.masked_fill(torch.eye(5, dtype=torch.bool), float("-inf")), -1)


UNMATCHED: dict[str, tuple[nn.Module, Sequence[Tensor], str, str]] = {
    "pow": (Of2(lambda x, y: x.abs() ** y), (IMAGES, OTHERS), "pow", "an exponent for each value"),
    "mean": (Of1(lambda x: x.mean((1, 3))), (IMAGES,), "pool", "in another order"),
    "mean of samples": (Of1(lambda x: x.mean(0)), (IMAGES,), "pool", "in another order"),
    "alpha": (Of2(lambda x, y: torch.add(x, y, alpha=2)), (IMAGES, OTHERS), "add", "in a step of its own"),
    "windows": (Of1(lambda x: F.adaptive_avg_pool2d(x, (2, 4))), (IMAGES,), "pool", "several sizes"),
    "mask": (Masked(), (drawn(2, 5, 5),), "softmax", "masked scores"),
    "lstm": (Recurrent(nn.LSTM), (drawn(2, 5, 4),), "net", "it computes in float"),
    "gru": (Recurrent(nn.GRU), (drawn(2, 5, 4),), "net", "it computes in float"),
}


@pytest.mark.parametrize("name", UNMATCHED)
def test_what_is_not_matched_is_said(name: str) -> None:
    module, inputs, layer, words = UNMATCHED[name]
    found = reasons_for(module, inputs)
    assert set(found) == {layer}
    assert words in found[layer]


def test_what_is_matched_needs_no_words() -> None:
    """The same operations with arguments that have a kernel."""
    matched: dict[str, tuple[nn.Module, Sequence[Tensor]]] = {
        "pow": (Of1(lambda x: x.abs() ** 1.5), (IMAGES,)),
        "mean": (Of1(lambda x: x.mean((1, 2))), (IMAGES,)),
        "alpha": (Of1(lambda x: torch.add(x, 0.5, alpha=2)), (IMAGES,)),
        "windows": (Of1(lambda x: F.adaptive_avg_pool2d(x, (3, 11))), (IMAGES,)),
        "softmax": (Of1(lambda x: torch.softmax(x.transpose(1, 2), -1)), (drawn(2, 5, 5),)),
    }
    for module, inputs in matched.values():
        assert not reasons_for(module, inputs)
