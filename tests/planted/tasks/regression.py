"""A regression of three numbers from an image with a disc: x and y in pixels, and the radius as a share of the width.

One scale for an output that holds 0 to 64 beside 0.1 to 0.3 leaves the radius one step or none. In the healthy twin
all three are shares of the width.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.planted.tasks.metrics import Floats, array
from tests.planted.tasks.task_network import Samples, TaskData, TaskNetwork, fit, seeded

WIDTH = 64
MEANS = torch.tensor([0.5, 0.5, 0.2])
SPREADS = torch.tensor([0.17, 0.17, 0.06])
"""Of the three numbers as shares of the width."""
PIXELS = torch.tensor([64.0, 64.0, 1.0])
SHARES = torch.ones(3)


def draw(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 32, 32), every other pixel of 64, and x, y and radius as shares of the width (N, 3)."""
    random = np.random.default_rng(seed)
    radius = random.uniform(0.1, 0.3, count)
    x, y = random.uniform(0.2, 0.8, (2, count))
    rows, columns = (np.mgrid[:32, :32] + 0.5) / 32
    distance = np.hypot(columns - x[:, None, None], rows - y[:, None, None])
    images = 1.0 / (1.0 + np.exp((distance - radius[:, None, None]) * 40)) + random.normal(0.0, 0.1, (count, 32, 32))
    return torch.from_numpy(images[:, None]).float(), torch.from_numpy(np.stack((x, y, radius), 1)).float()


@cache
def data(units: str) -> TaskData:
    """With targets in `pixels` (and the radius as a share), or all in `shares`."""
    factors = PIXELS if units == "pixels" else SHARES
    parts = (draw(512, 1), draw(64, 2), draw(128, 3))
    return TaskData(*(Samples(images, targets * factors) for images, targets in parts))


class Regressor(nn.Module):
    """Images (N, 1, 32, 32) to three numbers (N, 3), at the output `position`."""

    def __init__(self) -> None:
        super().__init__()

        def block(c_in: int, c_out: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride=2, padding=1), nn.BatchNorm2d(c_out), nn.ReLU())

        self.features = nn.Sequential(block(1, 8), block(8, 16), block(16, 16))
        self.mix = nn.Sequential(nn.Linear(256, 32), nn.ReLU())
        self.position = nn.Linear(32, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.position(self.mix(self.features(x).flatten(1)))
        return y


@cache
def _trained() -> dict[str, Tensor]:
    model = seeded(Regressor)
    images, targets = data("shares").fit.inputs, (data("shares").fit.targets - MEANS) / SPREADS

    def loss(module: nn.Module, chosen: Tensor) -> Tensor:
        return F.mse_loss(module(images[chosen]), targets[chosen])

    return fit(model, loss, kept_as="regression", sample_count=len(images), steps=200, rate=5e-3).state_dict()


@cache
def build(units: str) -> nn.Module:
    """Trained on standardized numbers; the last layer then gives them in their units."""
    model = seeded(Regressor)
    model.load_state_dict(_trained())
    factors = PIXELS if units == "pixels" else SHARES
    with torch.no_grad():
        model.position.weight *= (SPREADS * factors)[:, None]
        model.position.bias.copy_((model.position.bias * SPREADS + MEANS) * factors)
    return model.eval().requires_grad_(False)


def closeness(units: str) -> Callable[[Any, Any], Floats]:
    """1 less the mean absolute error, of each number in units of its spread over images: 1 is exact."""
    spreads = (SPREADS * (PIXELS if units == "pixels" else SHARES)).numpy()

    def metric(outputs: Any, targets: Any) -> Floats:
        return 1.0 - (np.abs(array(outputs) - array(targets)) / spreads).mean(1)

    return metric


def negative_error(outputs: Any, targets: Any) -> Floats:
    """The plain mean absolute error, in which pixels and shares are added, with a minus."""
    return -np.abs(array(outputs) - array(targets)).mean(1)


def _network(name: str, units: str, **more: Any) -> TaskNetwork:
    return TaskNetwork(
        name=name,
        task="regress",
        architecture=Regressor,
        build=lambda: build(units),
        data=lambda: data(units),
        metric=closeness(units),
        judged="output",
        float_min=0.8,
        **more,
    )


NETWORKS = (
    _network("regression", "pixels", drop_min=0.2, layers=("position",), code="QD210", twin="regression_shares"),
    _network("regression_shares", "shares"),
)
