"""Scales are counted: "per channel" along an axis of length one is one scale for all channels."""

import pytest
import torch
from torch import nn

import qdiag
from qdiag.detectors.base import is_per_tensor

DEAD = (0, 1)


def net(dead: tuple[int, ...]) -> nn.Sequential:
    """A depthwise transposed convolution, some channels of which have never seen anything."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU()),
            *(nn.ConvTranspose2d(16, 16, 4, 2, 1, groups=16, bias=False), nn.BatchNorm2d(16, momentum=None), nn.ReLU()),
            *(nn.Conv2d(16, 5, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
        with torch.no_grad():
            model[0].weight[list(dead)], model[0].bias[list(dead)] = 0.0, -1.0
            model.train()(images())
            for values, fault in ((model[3].running_var, 0.0), (model[3].running_mean, 0.0), (model[3].weight, 8.0)):
                values[list(dead)] = fault
    return model.eval()


def images() -> torch.Tensor:
    return torch.randn(400, 3, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("preset", ["tf-uint8", "int8"])
def test_dead_channels_of_a_depthwise_transposed_convolution_are_the_cause(preset: str) -> None:
    model, x = net(DEAD), images()
    with torch.no_grad():
        labels = model(x).argmax(1)
    found = qdiag.diagnose(model, (x[100:], labels[100:]), calibration=x[:100], scheme=preset, with_bits=False)
    first = found.ranking.causes[0]
    assert (first.code, first.verdict, first.layers, first.sites[0].channels) == ("QD301", "cause", ("2",), DEAD)
    records = {record.name: record for record in found.measurement.records}
    assert is_per_tensor(records["2"])
    assert is_per_tensor(records["0"]) == (preset == "tf-uint8")


def test_the_healthy_twin_is_silent() -> None:
    model, x = net(()), images()
    with torch.no_grad():
        labels = model(x).argmax(1)
    found = qdiag.diagnose(model, (x[100:], labels[100:]), calibration=x[:100], scheme="int8", with_bits=False)
    assert "QD301" not in {finding.code for finding in found.ranking.findings}
