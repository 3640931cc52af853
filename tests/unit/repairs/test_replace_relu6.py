"""ReLU6 to ReLU, fused and alone, everywhere or at some layers."""

import math

import pytest
import torch
from torch import Tensor, nn

from qdiag.core.causes.findings import FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import RepairContext
from qdiag.repairs.equalization.equalize import EQUALIZE
from qdiag.repairs.weights.replace_relu6 import REPLACE_RELU6
from tests.cases import assert_untouched, open_test_case, snapshot


def images() -> Tensor:
    return 4.0 * torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def network() -> nn.Sequential:
    """ReLU6 fused, ReLU6 by itself behind a pool, and a hardtanh that is none."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            *(nn.Conv2d(3, 6, 3), nn.ReLU6(), nn.Conv2d(6, 6, 1), nn.AvgPool2d(2), nn.ReLU6()),
            *(nn.Conv2d(6, 4, 1), nn.Hardtanh(0.0, 4.0)),
        ).eval()
    with torch.no_grad():
        net[0].weight.mul_(4.0)
    return net


def test_all_of_them_and_nothing_else() -> None:
    case = open_test_case(network(), images(), "tf-uint8")
    before = snapshot(case)
    done = REPLACE_RELU6.apply(case, (), RepairContext())
    assert_untouched(case, before)
    assert (done.layers, done.moves_float, dict(done.tensors)) == (("0", "4"), True, {})
    clamps = {layer.name: layer.clamp for layer in done.case.network.graph.layers if layer.clamp is not None}
    assert clamps == {"0": (0.0, math.inf), "4": (0.0, math.inf), "5": (0.0, 4.0)}
    assert case.observations["0"].statistics.range.max == 6.0
    assert done.case.observations["0"].statistics.range.max > 6.0
    with torch.no_grad():
        expected = torch.relu(network()[0](images())).max()
    assert done.case.observations["0"].statistics.range.max == pytest.approx(float(expected), rel=1e-5)


def test_some_layers() -> None:
    case = open_test_case(network(), images(), "tf-uint8")
    assert REPLACE_RELU6.apply(case, [FindingSite("4"), FindingSite("5")], RepairContext()).layers == ("4",)
    with pytest.raises(RepairRefused, match="no ReLU6 is there"):
        REPLACE_RELU6.apply(case, [FindingSite("5")], RepairContext())


def test_equalization_on_top_is_no_longer_bounded() -> None:
    case = open_test_case(network(), images(), "tf-uint8")
    bounded = EQUALIZE.apply(case, (), RepairContext())
    free = EQUALIZE.apply(REPLACE_RELU6.apply(case, (), RepairContext()).case, (), RepairContext())
    old = case.tensors["0.weight"]
    moved = [(t.tensors.get("0.weight", old) != old).flatten(1).any(1).sum() for t in (bounded, free)]
    assert int(moved[0]) < int(moved[1]) == 6
