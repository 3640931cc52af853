"""Scales moved from the input into the first layer's weights: the same float network, and steps for every channel."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from qdiag.core.causes.findings import FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import RepairContext, Treatment
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case
from qdiag.simulate.changes import without_quantizers
from qdiag.simulate.session import Session
from tests.cases import assert_untouched, open_test_case, output_sqnr_db, snapshot

UNITS = torch.tensor([100.0, 1.0, 0.1])


def convolutional() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)).eval()
    with torch.no_grad():
        net[0].weight /= UNITS.view(1, 3, 1, 1)
    return net, torch.randn(32, 3, 6, 6) * UNITS.view(3, 1, 1)


def linear() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4)).eval()
    with torch.no_grad():
        net[0].weight /= UNITS
    return net, torch.randn(64, 3) * UNITS


def opened(make: Callable[[], tuple[nn.Module, Tensor]]) -> Case:
    net, x = make()
    return open_test_case(net, x)


def treat(case: Case, site: str = "input:input") -> Treatment:
    return REPAIRS["scale_input_channels"].apply(case, [FindingSite(site)], RepairContext())


@pytest.mark.parametrize("make", [convolutional, linear])
def test_the_float_network_stays_and_the_quantized_one_recovers(
    make: Callable[[], tuple[nn.Module, Tensor]],
) -> None:
    case = opened(make)
    before = snapshot(case)
    treatment = treat(case)
    assert_untouched(case, before)
    (same,), _ = Session().score([without_quantizers(treatment.case)], "float")
    assert same.score.outputs[0].error.error_sq_sum == 0.0
    assert output_sqnr_db(treatment.case) > output_sqnr_db(case) + 10.0
    assert (treatment.moves_float, dict(treatment.tensors), treatment.settings) == (False, {}, ())
    (cost,) = treatment.costs
    assert cost.value == pytest.approx(1000.0, rel=0.42)  # the nearest power of two, of widths that are drawn


def test_it_is_what_scaling_the_data_by_hand_gives() -> None:
    net, x = convolutional()
    treated = treat(open_test_case(net, x)).case
    widths = x.abs().amax((0, 2, 3))
    scales = torch.exp2(torch.log2(widths.max() / widths).round())
    with torch.no_grad():
        net[0].weight /= scales.view(1, 3, 1, 1)  # type: ignore[index]
    by_hand = open_test_case(net, x * scales.view(3, 1, 1))
    assert output_sqnr_db(treated) == pytest.approx(output_sqnr_db(by_hand), abs=1e-6)


def test_where_it_cannot_be_done_it_says_why() -> None:
    class Doubled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x

    with pytest.raises(RepairRefused, match="no input of the network"):
        treat(opened(convolutional), "4")
    with pytest.raises(RepairRefused, match="has no weights to take the scales"):
        treat(open_test_case(Doubled(), torch.randn(16, 3) * UNITS), "input:x")
    with pytest.raises(RepairRefused, match="about equally wide"):
        treat(open_test_case(nn.Sequential(nn.Linear(3, 2)).eval(), torch.randn(64, 3)))
