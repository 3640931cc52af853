"""A mask value far below the scores: its repair leaves the float network, and the masked positions, as they are."""

import math

import pytest
import torch
from torch import Tensor, nn

from qdiag.config import load_scheme
from qdiag.core.causes.findings import FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import RepairContext, Treatment
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case
from tests.cases import assert_untouched, open_test_case, output_sqnr_db, snapshot

LENGTH, WIDTH, KEPT = 12, 8, 9


class Attention(nn.Module):
    """Softmax over scores of which the last three are masked."""

    def __init__(self, low: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.register_buffer("mask", torch.where(torch.arange(LENGTH) < KEPT, 0.0, low))

    def forward(self, x: Tensor) -> Tensor:
        scores = 3.0 * self.key(x) @ x.transpose(1, 2)
        return (scores + self.mask).softmax(-1)


X = torch.randn(64, LENGTH, WIDTH, generator=torch.Generator().manual_seed(1))


def opened(low: float, *settings: str) -> Case:
    return open_test_case(Attention(low).eval(), X, load_scheme("int8", settings))


def treat(case: Case) -> Treatment:
    return REPAIRS["bound_mask"].apply(case, [FindingSite("add")], RepairContext())


@pytest.mark.parametrize("low", [-1e4, float(torch.finfo(torch.float32).min)])
def test_the_scores_get_their_levels_back(low: float) -> None:
    case, mild = opened(low), opened(-20.0)
    before = snapshot(case)
    treatment = treat(case)
    assert_untouched(case, before)
    assert output_sqnr_db(case) < 10.0
    assert output_sqnr_db(treatment.case) >= output_sqnr_db(mild) - 1.0
    assert not treatment.moves_float and not treatment.tensors


def test_the_range_ends_where_a_masked_position_is_rounded_to_zero() -> None:
    case = opened(-1e4)
    (cost,) = treat(case).costs
    with torch.no_grad():
        net = Attention(-1e4).eval()
        lowest = float((3.0 * net.key(X) @ X.transpose(1, 2)).min())
    assert cost.name == "mask_value"
    assert cost.value == pytest.approx(lowest - 9.0 * math.log(2.0), rel=1e-4)
    # exp(-m) of the largest softmax is half a step of 8 bits over [0, 1] at most, whatever the other scores are
    assert math.exp(cost.value - lowest) <= 0.5 / 256.0 + 1e-9


def test_the_printed_setting_makes_the_same_plan() -> None:
    case = opened(-1e4)
    treatment = treat(case)
    assert treatment.settings[0].startswith('layers."add".activations.range=[')
    again = opened(-1e4, *treatment.settings)
    assert snapshot(treatment.case).keys() == snapshot(again).keys()
    assert output_sqnr_db(again) == output_sqnr_db(treatment.case)


def test_a_mask_just_below_the_scores_is_left_alone() -> None:
    with pytest.raises(RepairRefused, match="no mask lies below the scores"):
        treat(opened(0.0))
