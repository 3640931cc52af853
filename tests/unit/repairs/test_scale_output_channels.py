"""Scales moved from an output into the last layer's weights: the same float network, and steps for every channel."""

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
from qdiag.simulate.passes.lanes import Lane, pick
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.simulate.surroundings import engine_arithmetic
from tests.cases import assert_untouched, open_test_case, snapshot
from tests.planted.tasks import regression

UNITS = torch.tensor([64.0, 1.0, 0.1])


class Convolutional(nn.Module):
    """Maps (N, 3, 6, 6) to three maps in units of their own, the last layer without a bias."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.maps = nn.Conv2d(8, 3, 1, bias=False)
        with torch.no_grad():
            self.maps.weight *= UNITS.view(3, 1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.maps(self.trunk(x))
        return y.permute(0, 2, 3, 1)


class Upsampled(Convolutional):
    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.ConvTranspose2d(8, 3, 2)  # type: ignore[assignment]
        with torch.no_grad():
            self.maps.weight *= UNITS.view(3, 1, 1)
            self.maps.bias *= UNITS  # type: ignore[operator]


class Flat(nn.Module):
    """Vectors (N, 5) to three numbers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix, self.maps = nn.Linear(5, 12), nn.Linear(12, 3)
        with torch.no_grad():
            for tensor in (self.maps.weight, self.maps.bias):
                tensor *= UNITS.view(-1, *(1,) * (tensor.ndim - 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.maps(self.mix(x).relu())
        return y


def images() -> Tensor:
    return torch.randn(32, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def vectors() -> Tensor:
    return torch.randn(64, 5, generator=torch.Generator().manual_seed(1))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "convolution": (Convolutional, images),
    "transposed": (Upsampled, images),
    "linear": (Flat, vectors),
}


def treat(case: Case, site: str = "maps") -> Treatment:
    return REPAIRS["scale_output_channels"].apply(case, [FindingSite(site)], RepairContext())


def outputs_of(case: Case, lane: int) -> Tensor:
    """The first output on all measured samples: of the float network (0), or of the quantized one (1)."""
    runner = LaneRunner([Lane(case.network), Lane(case.network, case.plan)])
    with engine_arithmetic():
        return torch.cat([pick(runner.run_batch(batch), lane)[0] for batch in case.measured])


def channel_sqnr_db(case: Case) -> list[float]:
    """Of each channel of an output with channels last, worked out from the outputs themselves."""
    reference, simulated = (outputs_of(case, lane).double().flatten(0, -2) for lane in (0, 1))
    return (10.0 * torch.log10(reference.square().sum(0) / (simulated - reference).square().sum(0))).tolist()


@pytest.mark.parametrize("preset", ["int8", "tf-uint8"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_channel_gets_its_steps_and_the_float_network_stays(name: str, preset: str) -> None:
    make, data = NETWORKS[name]
    net = make().eval()
    weights = {key: value.clone() for key, value in net.state_dict().items()}
    case = open_test_case(net, data(), preset)
    before = snapshot(case)
    treatment = treat(case)
    assert_untouched(case, before)
    assert all(torch.equal(value, weights[key]) for key, value in net.state_dict().items())
    (same,), _ = Session().score([without_quantizers(treatment.case)], "float")
    assert same.score.outputs[0].error.error_sq_sum == 0.0
    old, new = channel_sqnr_db(case), channel_sqnr_db(treatment.case)
    assert min(old) < 15.0
    assert min(new) > 30.0
    assert (treatment.moves_float, dict(treatment.tensors), treatment.layers) == (False, {}, ("maps",))
    assert 100.0 < treatment.costs[0].value < 4000.0


def test_a_radius_beside_a_place_in_pixels_is_given_again() -> None:
    """The planted regression, by the metric of its task."""
    data = regression.data("pixels")
    case = open_test_case(
        regression.build("pixels"), data.calibration.batches(), "int8", measured=data.measured.batches()
    )
    closeness = regression.closeness("pixels")
    networks = ((case, 0), (case, 1), (treat(case, "position").case, 1))
    healthy, sick, repaired = (
        float(closeness(outputs_of(one, lane), data.measured.targets).mean()) for one, lane in networks
    )
    assert healthy - sick > 0.2
    assert repaired > healthy - 0.05


def test_where_it_cannot_be_done_it_says_why() -> None:
    case = open_test_case(Convolutional().eval(), images())
    with pytest.raises(RepairRefused, match="none of the network's"):
        REPAIRS["scale_output_channels"].apply(
            open_test_case(Flat().eval(), vectors()), [FindingSite("mix")], RepairContext()
        )
    with pytest.raises(RepairRefused, match="BatchNorm stands between"):
        treat(case, "trunk.0")
    with pytest.raises(RepairRefused, match="no layer with weights"):
        treat(case, "input:x")
    alike = nn.Sequential(nn.Linear(5, 3)).eval()
    with torch.no_grad():
        alike[0].weight.copy_(torch.eye(3, 5))
        alike[0].bias.zero_()
    with pytest.raises(RepairRefused, match="about equally wide"):
        treat(open_test_case(alike, vectors()), "0")
