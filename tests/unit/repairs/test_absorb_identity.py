"""An outlying input channel is scaled in the layer before it: no range grows, and the float network stays."""

import pytest
import torch
from torch import Tensor, nn

from qdiag.config import load_scheme
from qdiag.core.causes.findings import FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import RepairContext, Treatment
from qdiag.repairs.equalization.absorb_identity import ABSORB_IDENTITY
from qdiag.simulate.case import Case
from tests.cases import open_test_case

_FAINT = 2


class Deployed(nn.Sequential):
    """Two convolutions as fusing leaves them: channel 2 in between is faint, and large on the diagonal behind it."""

    def __init__(self, faint: float = 2.0**-10, activation: nn.Module | None = None) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            super().__init__(
                nn.Conv2d(3, 6, 3, padding=1), activation or nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU()
            )
        with torch.no_grad():
            self[0].weight[_FAINT] *= faint
            self[0].bias[_FAINT] *= faint
            self[2].weight[_FAINT, _FAINT, 1, 1] += 1.0 / faint - 1.0
        self.eval()


def _images() -> Tensor:
    return torch.randn(8, 3, 10, 10, generator=torch.Generator().manual_seed(1))


def _case(network: nn.Module, scheme: str = "tf-uint8") -> Case:
    return open_test_case(network, _images(), load_scheme(scheme))


def _applied(case: Case, *sites: FindingSite) -> Treatment:
    return ABSORB_IDENTITY.apply(case, sites or [FindingSite("2")], RepairContext())


def test_k_by_hand_and_no_range_grows() -> None:
    network = Deployed()
    done = _applied(_case(network))
    first, second = done.tensors["0.weight"].double(), done.tensors["2.weight"].double()

    before_1, before_2 = network[0].weight.detach().double(), network[2].weight.detach().double()
    columns = before_2.abs().amax((0, 2, 3))
    outputs = network[1](network[0](_images())).detach().double()
    rows = before_1.abs().amax((1, 2, 3))
    k = min(
        float(columns[_FAINT] / (2.0 * columns.median())),
        float(outputs.max() / outputs[:, _FAINT].max()),
        float(rows.max() / rows[_FAINT]),
    )
    assert k > 100.0
    factor = first[_FAINT] / before_1[_FAINT]
    torch.testing.assert_close(factor, torch.full_like(factor, k), rtol=1e-5, atol=0.0)
    torch.testing.assert_close(second[:, _FAINT] * k, before_2[:, _FAINT], rtol=1e-5, atol=1e-9)
    others = [c for c in range(6) if c != _FAINT]
    assert torch.equal(first[others], before_1[others]) and torch.equal(second[:, others], before_2[:, others])
    assert done.layers == ("0", "2")
    assert first.abs().max() <= before_1.abs().max() * (1 + 1e-6)
    assert second.abs().max() < before_2.abs().max() / 100.0


def test_the_float_network_stays_and_the_caller_keeps_its_own() -> None:
    network = Deployed()
    own = {name: value.clone() for name, value in network.state_dict().items()}
    done = _applied(_case(network))

    repaired = Deployed()
    repaired.load_state_dict({**own, **done.tensors})
    with torch.no_grad():
        torch.testing.assert_close(repaired(_images()), network(_images()), rtol=1e-5, atol=1e-5)
    assert all(torch.equal(own[name], value) for name, value in network.state_dict().items())


def test_only_named_channels_are_touched() -> None:
    with pytest.raises(RepairRefused, match="no input channel stands out"):
        _applied(_case(Deployed()), FindingSite("2", (4,)))
    assert _applied(_case(Deployed()), FindingSite("2", (_FAINT,))).layers == ("0", "2")


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Deployed(faint=1.0), "no input channel stands out"),
        (Deployed(activation=nn.SiLU()), "does not let a scale through"),
    ],
)
def test_refused_with_the_reason(network: nn.Module, reason: str) -> None:
    with pytest.raises(RepairRefused, match=reason):
        _applied(_case(network))


def test_a_channel_that_is_as_large_as_the_others_has_no_room() -> None:
    network = Deployed(faint=1.0)
    with torch.no_grad():
        network[2].weight[_FAINT, _FAINT, 1, 1] += 1000.0
        network[0].weight[_FAINT] *= 3.0
        network[0].bias[_FAINT] += 3.0
    with pytest.raises(RepairRefused, match="has room for"):
        _applied(_case(network))
