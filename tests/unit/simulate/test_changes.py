"""What a change of a case keeps: constants that meet data have their quantizers in every case."""

import torch
from torch import Tensor, nn

from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_clamps, without_quantizers
from qdiag.simulate.session import Session
from tests.cases import open_test_case

X = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))


class Shifted(nn.Module):
    """A constant is added to the data, as a position embedding is."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.activation = nn.Linear(4, 4), nn.ReLU6()
        self.register_buffer("shift", torch.tensor([0.5, -1.0, 2.0, 0.25]))

    def forward(self, x: Tensor) -> Tensor:
        moved: Tensor = self.activation(self.first(x)) + self.shift
        return moved


def opened() -> Case:
    case = open_test_case(Shifted().eval(), X)
    assert [constant.name for constant in case.network.graph.constants] == ["shift"]
    assert case.plan.layers["shift"].output is not None
    return case


def test_the_float_network_of_a_case_has_no_quantizer_at_a_constant() -> None:
    session, case = Session(), opened()
    (scored,), _ = session.score([without_quantizers(case)], "float")
    assert scored.score.outputs[0].error.error_sq_sum == 0.0


def test_other_clamps_leave_the_constants_where_they_are() -> None:
    session, case = Session(), opened()
    clamped = with_clamps(session, case, {"first": (0.0, 0.5)})
    assert clamped.network.graph.constants == case.network.graph.constants
    assert clamped.plan.layers["shift"].output is not None
    (scored,), _ = session.score([clamped], "clamped")
    assert scored.score.outputs[0].error.error_sq_sum > 0.0
