"""Exported networks in onnxruntime: node by node they are the simulation, and with integer kernels all but ties.

The unoptimized file is computed as it stands, in float between the integers: what the simulation does.
"""

from dataclasses import replace

import pytest
import torch
from torch import nn

from qdiag.config import load_preset
from qdiag.runtimes.onnxruntime import OnnxruntimeNetwork
from tests.deployed import export
from tests.models import KINDS
from tests.processor import as_here

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

EXACT = (
    "inception",
    "se_sigmoid",
    "unet_transposed",
    "vit_sdpa",
    "aliasing",
    "linear_bn",
    "signals",
    "buffer_constant",
)
"""Kinds of networks in which float sums of both differ in no integer."""
ALL_INTEGER = {
    "inception": {"QLinearConv": 7, "QLinearConcat": 1, "QLinearGlobalAveragePool": 1, "QGemm": 1},
}


@pytest.mark.parametrize("name", EXACT)
def test_the_file_is_the_simulation(name: str) -> None:
    kind = KINDS[name]
    exported = export(kind.build(), kind.inputs(4, 0))
    assert set(exported.integers(is_optimized=False)) <= set(exported.simulated)
    assert exported.differing(is_optimized=False) == (0.0, 0)
    if name in ALL_INTEGER:
        operations = OnnxruntimeNetwork(exported.file.content).operations()
        assert operations.integer == ALL_INTEGER[name]
        assert operations.floating == ()
        share, most = export(kind.build(), kind.inputs(4, 0), as_here(load_preset("int8"))).differing()
        assert share < 1e-3
        assert most <= 1


class Small(nn.Module):
    """Convolution with ReLU6, depthwise convolution with ReLU, an addition, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.second = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.last = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu6(3 * self.first(x))
        x = x + torch.relu(self.second(x))
        return self.last(x.mean((2, 3)))


def _inputs() -> tuple[tuple[torch.Tensor, ...], dict[str, object]]:
    return (torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)),), {}


def _signed() -> object:
    scheme = load_preset("int8")
    return replace(scheme, activations=replace(scheme.activations, signed=True))


@pytest.mark.parametrize("scheme", ["tf-uint8", "tensorrt-int8", "x86-reduce-range", "w4a8", "w32a8", "signed"])
def test_schemes(scheme: str) -> None:
    """Weights per tensor with zero points; symmetric activations, where no clamp is covered; 7 bits; float weights."""
    torch.manual_seed(0)
    exported = export(Small().eval(), _inputs(), _signed() if scheme == "signed" else scheme)  # type: ignore[arg-type]
    share, most = exported.differing(is_optimized=False)
    assert share < 2e-3, "sums in another order"
    assert most <= 1
    operations = OnnxruntimeNetwork(exported.file.content).operations()
    floating = {(one.op, one.name) for one in operations.floating}
    layers = {name for _, name in floating}
    share, most = exported.differing()
    assert share < 1e-2
    assert most <= 2
    match scheme:
        case "w32a8":
            assert share < 2e-3, "onnxruntime must not quantize the weights by itself"
            assert {"first", "second", "last"} <= layers
        case "tensorrt-int8":
            assert floating == {("Clip", "mul/Clip"), ("Relu", "second/Relu")}
        case "x86-reduce-range":
            assert {op for op, _ in floating} == {"Clip"}
            assert operations.integer["QLinearConv"] == 2
        case _:
            assert not floating
            assert operations.integer == {
                "QLinearConv": 2,
                "QLinearMul": 1,
                "QLinearAdd": 1,
                "QLinearGlobalAveragePool": 1,
                "QGemm": 1,
            }


class Uneven(nn.Module):
    """Zeros on two sides alone before a convolution, as TensorFlow pads; and padding that no convolution does."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2)
        self.second = nn.Conv2d(4, 4, 3)
        self.third = nn.Conv2d(4, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(nn.functional.pad(x, (0, 1, 0, 1))))
        x = self.second(nn.functional.pad(x, (2, 0, 1, 1), mode="reflect"))
        y = nn.functional.pad(x, (1, 2, 3, 0))
        return self.third(y) + y.mean()


def test_zeros_around_a_convolution_are_padded_by_it() -> None:
    torch.manual_seed(0)
    exported = export(Uneven().eval(), _inputs())
    share, most = exported.differing(is_optimized=False)
    assert (share < 2e-3, most <= 1) == (True, True)
    nodes = onnx.ModelProto.FromString(exported.file.content).graph.node
    pads = {one.name: list(a.ints) for one in nodes for a in one.attribute if a.name == "pads"}
    assert pads["first"] == [0, 0, 1, 1]
    assert pads["second"] == pads["third"] == [0, 0, 0, 0], (
        "values of the image, and zeros that something else reads too"
    )
    assert [one.op_type for one in nodes].count("Pad") == 2


def test_recurrent_layers() -> None:
    kind = KINDS["lstm"]
    assert export(kind.build(), kind.inputs(4, 0)).differing(is_optimized=False) == (0.0, 0)


def test_a_layer_kept_in_float_stays_in_float() -> None:
    torch.manual_seed(0)
    scheme = as_here(replace(load_preset("int8"), float_layers=("second",)))
    exported = export(Small().eval(), _inputs(), scheme)
    operations = OnnxruntimeNetwork(exported.file.content).operations()
    assert [one.name for one in operations.floating] == ["second"]
    assert exported.differing()[1] <= 1


def test_another_number_of_samples() -> None:
    """What was free in the graph is free in the file."""
    kind = KINDS["vit_written_out"]
    exported = export(kind.build(), kind.inputs(4, 0))
    network = OnnxruntimeNetwork(exported.file.content, is_optimized=False)
    (x,), _ = kind.inputs(5, 0)
    name = exported.file.integers["blocks.0.add"]
    together = network.run({"x": x.numpy()}, [name])
    alone = network.run({"x": x[3:4].numpy()}, [name])
    assert together.integers[name].shape[0] == 5
    assert (together.integers[name][3:4] == alone.integers[name]).all()
