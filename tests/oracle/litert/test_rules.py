"""The arithmetic of LiteRT's kernels, integer for integer: reference kernels, the runtime's own, and XNNPACK."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

pytest.importorskip("ai_edge_litert")
from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.core.scheme import RuntimeName
from qdiag.exporters.litert.write import LiteFile, write_lite
from qdiag.plan import QuantPlan
from qdiag.simulate.arithmetic.table import difference_to_runtime
from qdiag.simulate.passes.network import Network
from tests.oracle.litert.integers_of import RESOLVERS, Exposed, differing, simulated
from tests.oracle.litert.test_export import planned

Case = tuple[Network, QuantPlan, LiteFile, Tensor]
KERNELS: tuple[RuntimeName, ...] = tuple(RESOLVERS)


class Known(nn.Module):
    """Every operation for which there is a rule, and those that move values."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 20, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(20, 20, 3, padding=1, groups=20)
        self.point = nn.Conv2d(20, 20, 1, bias=False)
        self.gate = nn.Conv2d(20, 20, 1)
        self.wide = nn.Conv2d(20, 24, 3, padding=2, dilation=2)
        self.hidden = nn.Linear(24, 300)
        self.head = nn.Linear(300, 200)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.stem(x))
        branch = self.point(self.depthwise(x))
        x = x + branch
        x = x * self.gate(x.mean((2, 3), keepdim=True))
        x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=True) - F.max_pool2d(x, 3, 2, 1)
        x = torch.relu(self.wide(x)) + F.pad(x[:, :, :, :], (0, 0, 0, 0, 2, 2))
        hidden = self.hidden(x.mean((2, 3)))
        head: Tensor = self.head(torch.relu(hidden))
        return head


class Functions(nn.Module):
    """What is computed by tables, in fixed point, at scales that kernels fix, and as several operators."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.depthwise = nn.Conv2d(12, 12, 3, groups=12)
        self.up = nn.ConvTranspose2d(12, 12, 3, stride=2, padding=1, output_padding=1)
        self.large = nn.ConvTranspose2d(12, 5, 2, stride=2)
        self.same = nn.ConvTranspose2d(12, 8, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.stem(x)
        rows = x.flatten(2)
        pooled = F.max_pool2d(x, 2)
        return (
            *(2.0 * x.amax((2, 3), keepdim=True), 2.0 * x.amin((2, 3)), 2.0 * x.amax(1, keepdim=True)),
            *(torch.sigmoid(4.0 * x), torch.tanh(x / 0.5), F.silu(x), F.gelu(x), F.hardswish(3.0 * x)),
            *(
                F.leaky_relu(x, 0.2),
                torch.relu(pooled - 0.1),
                F.relu6(pooled),
                1.0 - x,
                torch.exp(x),
                self.depthwise(x),
            ),
            *(torch.softmax(3.0 * rows, -1), torch.softmax(x, 1), F.avg_pool2d(torch.maximum(x, 0.5 * x), 2)),
            *(self.up(x), torch.relu(self.large(x)), self.same(x), rows @ rows.transpose(1, 2)),
            *(F.interpolate(x, scale_factor=2.0, mode="bilinear"), F.interpolate(x, scale_factor=2.0)),
            *(F.interpolate(x, size=(9, 21), mode="bilinear", align_corners=True), rows.mean(1)),
            *(x.mean(1, keepdim=True), x.mean((2, 3), keepdim=True), torch.cat([x, F.relu(x) * 0.3], 1)),
        )


@pytest.fixture(scope="module", params=["int8", "tf-uint8", "int16x8"])
def functions(request: pytest.FixtureRequest) -> tuple[str, Case]:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 12, 14)
    network, plan = planned(Functions(), x, load_preset(request.param))
    return request.param, (network, plan, write_lite(network, plan, Batch((x,))), x)


@pytest.mark.parametrize("kernels", KERNELS)
def test_functions_are_computed_alike(functions: tuple[str, Case], kernels: RuntimeName) -> None:
    """0 of all integers differ; what LiteRT computes in float, a note says."""
    preset, (network, plan, file, x) = functions
    found = differing(network, plan, file, x, kernels)
    under = replace(plan, scheme=replace(plan.scheme, arithmetic=kernels))
    noted = {one.name for one in network.graph.layers if difference_to_runtime(under, one) is not None}
    assert noted == {"int16x8": {"gelu", "hardswish", "exp"}, "tf-uint8": {"matmul", "exp"}}.get(preset, set())
    assert len(found) >= 30 and not any(n for name, n in found.items() if name not in noted), found
    assert all(n <= 8 for n in found.values())


@pytest.fixture(scope="module", params=["int8", "int16x8"])
def case(request: pytest.FixtureRequest) -> Case:
    torch.manual_seed(0)
    x = torch.randn(6, 3, 40, 40)
    network, plan = planned(Known(), x, load_preset(request.param))
    return network, plan, write_lite(network, plan, Batch((x,))), x


@pytest.mark.parametrize("kernels", KERNELS)
def test_no_integer_differs(case: Case, kernels: RuntimeName) -> None:
    found = differing(*case, kernels)
    assert len(found) == 15 and not any(found.values()), found


def test_the_kernels_differ_from_each_other(case: Case) -> None:
    """So that the rules above are told apart by these values."""
    network, plan, _, x = case
    if plan.scheme.name == "int16x8":
        pytest.skip("XNNPACK has no kernels of int16")
    by_rule = [simulated(network, plan, x, name) for name in KERNELS]
    for one in range(3):
        for other in range(one):
            assert any((by_rule[one][name] != by_rule[other][name]).any() for name in by_rule[0]), (one, other)


def test_layers_without_a_rule_are_named() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Hardsigmoid(), nn.PReLU(4), nn.Sigmoid())
    network, plan = planned(net, x, load_preset("int8"))
    file = write_lite(network, plan, Batch((x,)))
    for kernels in KERNELS:
        under = replace(plan, scheme=replace(plan.scheme, arithmetic=kernels))
        reasons = {layer.name: difference_to_runtime(under, layer) for layer in network.graph.layers}
        named = {name: reason for name, reason in reasons.items() if reason is not None}
        assert named == {
            "1": "no rule is known for group_norm",
            "2": "no rule is known for hardsigmoid",
            "3": "no rule is known for prelu",
        }
        theirs, ours = Exposed(file, kernels).run(x), simulated(network, plan, x, kernels)
        assert all(abs(ours[name] - theirs[name]).max() <= 1 for name in ours)  # as they are computed in float


class InFloat(nn.Module):
    """One operation of float32 for each value, between DEQUANTIZE and QUANTIZE in files that are written here."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.slopes = nn.PReLU(8)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = 2.0 * self.stem(x)
        return x.abs(), -x, self.slopes(x), torch.sqrt(x.abs()), F.hardsigmoid(x)


@pytest.mark.parametrize("kernels", KERNELS)
def test_one_operation_in_float_gives_the_same_integers(kernels: RuntimeName) -> None:
    """Though a note names them: other files have kernels of int8 for some of them."""
    torch.manual_seed(0)
    x = torch.randn(4, 3, 16, 16)
    network, plan = planned(InFloat(), x, load_preset("int8"))
    found = differing(network, plan, write_lite(network, plan, Batch((x,))), x, kernels)
    assert len(found) == 9 and not any(found.values()), found


def test_a_bias_that_wraps_does_so_in_every_kernel() -> None:
    """A dead channel whose bias does not fit int32."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with torch.no_grad():
        net[0].weight[1] *= 3e-6
        net[0].bias[1] = -5.0
    x = torch.randn(3, 3, 8, 8)
    network, plan = planned(net, x, load_preset("int8"))
    file = write_lite(network, plan, Batch((x,)))
    for kernels in KERNELS:
        found: dict[str, Any] = Exposed(file, kernels).run(x)
        assert (found["0"][:, 1] > -128).any()
        assert not any(differing(network, plan, file, x, kernels).values())
