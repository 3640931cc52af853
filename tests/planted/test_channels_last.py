"""Faults of single channels in networks that keep their channels last: ConvNeXt's block, Swin's windows."""

import pytest
import torch
from torch import Tensor, nn

from tests.cases import open_test_case
from tests.planted.diagnosing import diagnosis, finding
from tests.planted.fault import Network, PlantedFault, planted, scheme
from tests.planted.networks import DATA, Chain, build, fit_classifier, settle

WIDE = (3, 11)


class ConvNextBlock(Chain):
    """A convolution, then a norm and two linear layers on N, H, W, C (arXiv 2201.03545, with ReLU)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(16)
        self.expand, self.project = nn.Linear(16, 32), nn.Linear(32, 16)

    def features(self, x: Tensor) -> Tensor:
        x = self.mixed(self.body(self.stem(x)).permute(0, 2, 3, 1))
        return self.pool(self.head(x.permute(0, 3, 1, 2))).flatten(1)

    def mixed(self, x: Tensor) -> Tensor:
        return self.project(self.expand(self.norm(x)).relu())


class SwinBlock(ConvNextBlock):
    """The same on windows of 2 x 2 (arXiv 2103.14030): linear layers on N, windows, tokens, C."""

    def mixed(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        x = x.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h * w // 4, 4, c)
        x = super().mixed(x)
        x = x.reshape(n, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5)
        return x.reshape(n, h, w, c)


class GatedBlock(ConvNextBlock):
    """The channels are weighted by a gate that is computed from their means."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(16, 4), nn.Linear(4, 16)

    def mixed(self, x: Tensor) -> Tensor:
        x = self.expand(x)[..., :16].relu()
        gate = self.excite(self.squeeze(x.mean((1, 2), keepdim=True)).relu()).sigmoid()
        return x * gate


def healthy(make: type[ConvNextBlock]) -> Chain:
    return settle(build(make))


def imbalanced(make: type[ConvNextBlock]) -> Chain:
    """Two channels between the linear layers are 256 times as wide; the float network computes what it did."""
    model = build(make)
    assert isinstance(model, ConvNextBlock)
    with torch.no_grad():
        for tensor in (model.expand.weight, model.expand.bias):
            tensor[list(WIDE)] *= 256.0
        model.project.weight[:, list(WIDE)] /= 256.0
    return settle(model)


def small_gates() -> Chain:
    """One gate is open, to nothing; the others let a 600th through, half a step, of channels 512 times as wide."""
    model = healthy(GatedBlock)
    assert isinstance(model, GatedBlock)
    with torch.no_grad():
        others = torch.arange(16) != 3
        for tensor in (model.expand.weight, model.expand.bias):
            tensor[:16][others] *= 512.0
            tensor[3] = 0.0
        model.squeeze.weight /= 512.0
        model.excite.weight *= 0.3
        model.excite.bias.copy_(torch.where(others, -6.4, 1.0))
    return fit_classifier(model)


INT8 = scheme(8, 8, per_channel=True)
FAULTS = {
    "convnext": planted(
        "convnext", "QD205", lambda: imbalanced(ConvNextBlock), scheme(16, 8, per_channel=True), ("expand",),
        twin=lambda: healthy(ConvNextBlock),
    ),
    "swin": planted(
        "swin", "QD205", lambda: imbalanced(SwinBlock), scheme(16, 8, per_channel=True), ("expand",),
        twin=lambda: healthy(SwinBlock),
    ),
    "gate": planted("gate", "QD404", small_gates, INT8, ("sigmoid",), twin=lambda: healthy(GatedBlock)),
}  # fmt: skip


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest) -> PlantedFault:
    return FAULTS[request.param]


def test_channels_are_read_and_not_rows(fault: PlantedFault) -> None:
    found = finding(diagnosis(fault.sick), fault.code)
    assert found is not None
    assert set(found.layers) == set(fault.layers)
    if fault.code == "QD205":
        assert found.sites[0].channels == WIDE


def test_the_fault_costs_accuracy_and_is_the_first_cause(fault: PlantedFault) -> None:
    ranking = diagnosis(fault.sick).ranking
    assert ranking.harm.verdict == "harmed"
    assert (ranking.causes[0].code, ranking.causes[0].verdict) == (fault.code, "cause")


def test_a_healthy_twin_is_silent(fault: PlantedFault) -> None:
    found = diagnosis(fault.twin)
    assert finding(found, fault.code) is None
    assert found.ranking.claimed == ()


@pytest.mark.parametrize("network", [fault.twin for fault in FAULTS.values()], ids=list(FAULTS))
def test_every_layer_has_the_ranges_of_its_channels(network: Network) -> None:
    model = network.build()
    assert isinstance(model, nn.Module)
    case = open_test_case(model, DATA.calibration[0][:8], network.scheme)
    widths = {
        "expand": 32,
        "project": 16,
        "norm": 16,
        "stem.0": 16,
        "head.0": 24,
        "sigmoid": 16,
        "mul": 16,
        "squeeze": 4,
    }
    for layer in case.network.graph.layers:
        channels = case.observations[layer.name].channels
        if layer.name in widths:
            assert channels is not None
            assert len(channels.min) == widths[layer.name], layer.name
