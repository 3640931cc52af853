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
from tests.oracle.litert.test_export import Net, planned

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


@pytest.fixture(scope="module")
def case() -> Case:
    torch.manual_seed(0)
    x = torch.randn(6, 3, 40, 40)
    network, plan = planned(Known(), x, load_preset("int8"))
    return network, plan, write_lite(network, plan, Batch((x,))), x


@pytest.mark.parametrize("kernels", KERNELS)
def test_no_integer_differs(case: Case, kernels: RuntimeName) -> None:
    found = differing(*case, kernels)
    assert len(found) == 15 and not any(found.values()), found


def test_the_kernels_differ_from_each_other(case: Case) -> None:
    """So that the rules above are told apart by these values."""
    network, plan, _, x = case
    by_rule = [simulated(network, plan, x, name) for name in KERNELS]
    for one in range(3):
        for other in range(one):
            assert any((by_rule[one][name] != by_rule[other][name]).any() for name in by_rule[0]), (one, other)


@pytest.mark.parametrize("kernels", KERNELS)
def test_layers_without_a_rule_are_named(kernels: RuntimeName) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 12, 12)
    network, plan = planned(Net(), x, load_preset("int8"))
    plan = replace(plan, scheme=replace(plan.scheme, arithmetic=kernels))
    reasons = {layer.name: difference_to_runtime(plan, layer) for layer in network.graph.layers}
    named = {name: reason for name, reason in reasons.items() if reason is not None}
    assert named == {
        "leaky_relu": "no rule is known for leaky_relu",
        "concat": "no rule is known for cat",
        "sigmoid": "no rule is known for sigmoid",
    }


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
