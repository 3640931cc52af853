"""Images of ten kinds, marked or not, and a trunk of convolutions that several networks share."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

KINDS = 10
SIZE = 16


@dataclass(frozen=True)
class Patterns:
    """Images (N, 3, 16, 16); their kinds 0 to 9 and marks 0 or 1, (N,) int64; where the mark is or would be (N, 4)."""

    images: Tensor
    kinds: Tensor
    marks: Tensor
    places: Tensor


def draw_patterns(count: int, seed: int, noise: float = 1.4) -> Patterns:
    """Smooth patterns of unit variance, one of each kind, under white noise; half of them bear a bright square."""
    fixed = torch.Generator().manual_seed(11)
    coarse = torch.randn(KINDS, 3, 4, 4, generator=fixed)
    patterns = F.interpolate(coarse, size=(SIZE, SIZE), mode="bilinear")
    patterns = patterns / patterns.std((1, 2, 3), keepdim=True)
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.arange(count) % KINDS
    marks = torch.randint(2, (count,), generator=generator)
    corners = torch.randint(SIZE - 5, (count, 2), generator=generator)
    images = patterns[kinds] + noise * torch.randn(count, 3, SIZE, SIZE, generator=generator)
    for i in range(count):
        x, y = corners[i].tolist()
        images[i, :, y : y + 5, x : x + 5] += 1.6 * marks[i]
    return Patterns(images, kinds, marks, torch.cat((corners, corners + 5), 1).float() / SIZE)


class Trunk(nn.Module):
    """Images (N, 3, 16, 16) to features (N, 96)."""

    def __init__(self) -> None:
        super().__init__()

        def block(c_in: int, c_out: int, stride: int) -> nn.Sequential:
            conv = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False)
            return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU())

        self.stem, self.body, self.tail = block(3, 12, 1), block(12, 16, 2), block(16, 24, 2)
        self.pool = nn.AdaptiveAvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.tail(self.body(self.stem(x)))).flatten(1)
