"""Local figures under `arithmetic = "ort"`: each layer by itself, in the simulation and in onnxruntime."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from qdiag.config import load_preset
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.simulate.arithmetic.table import difference_to_runtime
from tests.deployed import export
from tests.layers_alone import differing_alone
from tests.processor import as_here

INT8 = replace(load_preset("int8"), arithmetic="ort")
SIGNED = replace(INT8, activations=replace(INT8.activations, signed=True))
BYTES = {"uint8": INT8, "int8": SIGNED, "uint8 weights": replace(load_preset("tf-uint8"), arithmetic="ort")}
WIDE = {
    "int16": TensorScheme(bits=16, symmetric=True),
    "uint16": TensorScheme(bits=16, symmetric=False, signed=False),
    "12 bits": TensorScheme(bits=12, symmetric=False, signed=False),
}


class Branches(nn.Module):
    """Most kinds of layers, each of which reads what another one gave."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.point = nn.Conv2d(8, 8, 1)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        a = torch.relu(self.stem(x))
        b = self.depthwise(a)
        c = self.point(b)
        d = a + b
        e = d * c
        f = F.max_pool2d(torch.sigmoid(e) + e, 2)
        g = torch.cat([f, F.avg_pool2d(d, 2)], 1).mean((2, 3))
        h = torch.tanh(g[:, :8])
        up = F.interpolate(F.silu(b), scale_factor=2.0, mode="bilinear")
        return self.head(self.norm(h)), F.gelu(d), F.hardswish(c), up, F.leaky_relu(e, 0.1), torch.softmax(h, -1), e - d


def seeded() -> nn.Module:
    torch.manual_seed(0)
    return Branches().eval()


X = torch.randn(4, 4, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("scheme", BYTES.values(), ids=list(BYTES))
def test_no_integer_of_a_layer_alone_differs(scheme: QuantScheme) -> None:
    exported = export(seeded(), ((X,),), as_here(scheme))
    found = differing_alone(exported)
    assert len(found) == 20
    assert found == dict.fromkeys(found, 0)


@pytest.mark.parametrize("activations", WIDE.values(), ids=list(WIDE))
def test_more_than_8_bits_are_exact_but_for_float_sums_that_are_named(activations: TensorScheme) -> None:
    """onnxruntime computes them in float: functions and sums of two values in steps that are known."""
    exported = export(seeded(), ((X,),), replace(INT8, activations=activations))
    case, found = exported.case, differing_alone(exported)
    reasons = {
        layer.name: difference_to_runtime(case.plan, layer, case.network.node(layer.nodes[0]))
        for layer in case.network.graph.layers
        if layer.name in found
    }
    named = {name for name, reason in reasons.items() if reason == "no integer kernel takes more than 8 bits"}
    assert named == {"stem", "depthwise", "point", "pool", "pool#2", "softmax", "head"}
    assert {name: found[name] for name in found if name not in named} == dict.fromkeys(found.keys() - named, 0)
    sizes = {name: exported.simulated[name].size for name in named}
    assert all(found[name] <= max(2.0, 0.002 * sizes[name]) for name in named), "where a sum lies half-way"


def test_zero_points_of_weights_count_in_pairs() -> None:
    """A kernel multiplies the integers as they are stored, and subtracts what the zero point makes of them later."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 1)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1
    weights = TensorScheme(symmetric=False, signed=True, granularity="per_tensor")
    found = differing_alone(export(model, ((X,),), as_here(replace(INT8, weights=weights))))
    assert found == dict.fromkeys(found, 0)


def test_16_bit_weights_have_no_pairs() -> None:
    """onnxruntime computes such a layer in float, and what adds pairs takes bytes."""
    weights = replace(INT8.weights, bits=16)
    found = differing_alone(export(seeded(), ((X,),), replace(INT8, weights=weights, pair_saturation=True)))
    assert all(found[name] <= 2 for name in ("stem", "depthwise", "point", "head"))
