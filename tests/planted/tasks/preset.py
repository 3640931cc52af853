"""A classifier of photographs that was trained on pixels normalized in one way, to be measured on them in another.

The pixels are stored as uint8 (N, H, W, 3), as users have them. Nothing is wrong with the network: under the
preprocessing that it was trained with its float accuracy is high, and int8 costs nothing.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qdiag.loaders.images.preprocessing import preset
from tests.planted.tasks.metrics import top1
from tests.planted.tasks.patterns import KINDS, Trunk, draw_patterns
from tests.planted.tasks.task_network import Samples, fit, seeded

RIGHT, WRONG = "imagenet-stats", "none"
LEAST_RIGHT, MOST_WRONG = 0.9, 0.4
"""Float top-1 under the preprocessing of the training, and under the other one."""


@dataclass(frozen=True)
class Photographs:
    """Pixels (N, 16, 16, 3) uint8, RGB, and classes (N,) int64."""

    pixels: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.int64]

    def prepared(self, how: str) -> Samples:
        """As inputs of the network under a preset of that name."""
        return Samples(preset(how).apply_batch(self.pixels), torch.from_numpy(self.classes))


@cache
def photographs(count: int, seed: int) -> Photographs:
    drawn = draw_patterns(count, seed, noise=0.8)
    tint = torch.tensor([140.0, 110.0, 90.0]).reshape(3, 1, 1)
    pixels = (tint + 32.0 * drawn.images).round().clamp(0, 255).permute(0, 2, 3, 1)
    return Photographs(pixels.numpy().astype(np.uint8), drawn.kinds.numpy())


class Classifier(nn.Module):
    """Images (N, 3, 16, 16) to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.fc = Trunk(), nn.Linear(96, KINDS)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.fc(self.trunk(x))}


@cache
def build(how: str = RIGHT) -> nn.Module:
    """Trained on pixels under a preset of that name."""
    seen = photographs(640, 1).prepared(how)

    def loss(module: nn.Module, chosen: Tensor) -> Tensor:
        return F.cross_entropy(module(seen.inputs[chosen])["logits"], seen.targets[chosen])

    return fit(seeded(Classifier), loss, kept_as=f"preset_{how}", sample_count=len(seen.inputs), steps=150, rate=5e-3)


def float_top1(how: str, trained: str = RIGHT) -> float:
    """Top-1 of the float network on 240 photographs under a preset, when it was trained with another."""
    samples = photographs(240, 3).prepared(how)
    with torch.no_grad():
        return float(top1(build(trained)(samples.inputs)["logits"], samples.targets).mean())


def write_photographs(folder: Path) -> Path:
    """An archive of pixels and labels, to calibrate on and to measure on, as `--data` takes it."""
    path = folder / "photographs.npz"
    calibration, measured = photographs(64, 2), photographs(240, 3)
    np.savez(
        path,
        calib_images=calibration.pixels,
        calib_labels=calibration.classes,
        eval_images=measured.pixels,
        eval_labels=measured.classes,
    )
    return path
