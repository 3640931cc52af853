"""A small U-Net that finds thin rings among noise and bright spots, by one logit per pixel.

The images are letterboxed: bars above and below, where the logits are trained to be near -25. They hold nearly all of
the output's energy, while the rings are decided by logits near 0, so that an error of 20 dB costs many pixels. The
fault: one channel of the skip connection is a hundred times larger than the others, with weights behind that undo it,
so that one scale for the skip leaves the other channels a few steps. In float the network computes what its healthy
twin does. Of 0.07 in IoU that int8 costs, the skip alone in float recovers 0.044. The concat that takes the skip has
the same large channel and a second share: alone in float it recovers nothing beyond noise, on top of the skip 0.02.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.planted.tasks.metrics import iou
from tests.planted.tasks.task_network import Samples, TaskData, TaskNetwork, fit, scale_channels, seeded

SIZE = 32
BAR = 7
NOISE = 0.4
BLACK, SURE = -3.0, -25.0
SKIP, DEEP = 8, 12
CHANNEL, FACTOR = 1, 110.0


def draw(count: int, seed: int) -> Samples:
    """Images (N, 1, 32, 32) with one or two rings, and masks (N, 32, 32) of them, int64."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    images = random.normal(0.0, NOISE, (count, SIZE, SIZE))
    masks = np.zeros((count, SIZE, SIZE), dtype=np.int64)
    for i in range(count):
        for _ in range(random.integers(1, 3)):
            radius = random.uniform(3.0, 6.5)
            centre = random.uniform((radius, BAR + radius), (SIZE - radius, SIZE - BAR - radius))
            masks[i] |= np.abs(np.hypot(x - centre[0], y - centre[1]) - radius) < 1.0
        for _ in range(random.integers(2, 5)):
            spot = random.uniform((2, BAR), (SIZE - 2, SIZE - BAR))
            images[i] += 1.5 * (np.hypot(x - spot[0], y - spot[1]) < 1.8)
    images += masks
    for bar in (np.s_[:, :BAR], np.s_[:, SIZE - BAR :]):
        images[bar], masks[bar] = BLACK, 0
    return Samples(torch.from_numpy(images[:, None]).float(), torch.from_numpy(masks))


@cache
def data() -> TaskData:
    return TaskData(draw(256, 1), draw(48, 2), draw(96, 3))


class UNet(nn.Module):
    """Images (N, 1, 32, 32) to logits (N, 1, 32, 32), by one step down and one up."""

    def __init__(self) -> None:
        super().__init__()

        def block(c_in: int, c_out: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)
            )

        self.encode = block(1, SKIP)
        self.down = nn.MaxPool2d(2)
        self.deep = nn.Sequential(block(SKIP, 16), block(16, DEEP))
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.decode = block(SKIP + DEEP, 12)
        self.mask = nn.Conv2d(12, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.encode(x)
        y = self.up(self.deep(self.down(skip)))
        y = self.decode(torch.cat((skip, y), 1))
        logits: Tensor = self.mask(y)
        return logits


@cache
def _trained() -> dict[str, Tensor]:
    model = seeded(UNet)
    images, masks = data().fit.inputs, data().fit.targets

    def loss(module: nn.Module, chosen: Tensor) -> Tensor:
        logits = module(images[chosen])[:, 0]
        bars = torch.cat((logits[:, :BAR], logits[:, -BAR:]), 1)
        return F.binary_cross_entropy_with_logits(logits, masks[chosen].float()) + 0.001 * (bars - SURE).square().mean()

    return fit(model, loss, kept_as="unet", sample_count=len(images), steps=140, batch_size=16, rate=1e-2).state_dict()


@cache
def build(*, is_healthy: bool) -> nn.Module:
    model = seeded(UNet)
    model.load_state_dict(_trained())
    model.eval().requires_grad_(False)
    if not is_healthy:
        assert isinstance(model, UNet)
        scale_channels([model.encode[1]], model.decode[0], [CHANNEL], FACTOR)
        with torch.no_grad():
            model.deep[0][0].weight[:, CHANNEL] /= FACTOR
    return model


NETWORKS = (
    TaskNetwork(
        "unet",
        "segment",
        UNet,
        lambda: build(is_healthy=False),
        data,
        iou,
        judged="output",
        float_min=0.55,
        drop_min=0.05,
        layers=("encode.0",),
        code="QD205",
        twin="unet_healthy",
    ),
    TaskNetwork(
        "unet_healthy", "segment", UNet, lambda: build(is_healthy=True), data, iou, judged="output", float_min=0.55
    ),
)
