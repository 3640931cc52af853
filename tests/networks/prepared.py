"""A small classifier of pictures that was trained on pixels prepared in one way, and so depends on it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from qdiag.loaders.images.preprocessing import preset

CLASSES = 6
SIZE = 16


class SmallClassifier(nn.Module):
    """Two convolutions with BatchNorm, a mean over positions, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 12, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(12)
        self.conv2 = nn.Conv2d(12, 16, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(16)
        self.fc = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        y: Tensor = self.fc(x.mean((2, 3)))
        return y


@dataclass(frozen=True)
class Pictures:
    """Pictures (N, 16, 16, 3), uint8, RGB, and their class numbers (N,)."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def draw_pictures(count: int, seed: int) -> Pictures:
    """Faint stripes of one colour and direction per class, on a background whose colour says nothing."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    rows, columns = np.mgrid[:SIZE, :SIZE]
    images = np.empty((count, SIZE, SIZE, 3))
    for image, label in zip(images, labels, strict=True):
        stripes = np.sin((rows if label % 2 else columns) * 1.3 + generator.uniform(0, 6.3))
        image[...] = generator.uniform(60, 195, 3) + generator.normal(0, 12, image.shape)
        image[..., label // 2] += 28 * stripes
    return Pictures(images.clip(0, 255).astype(np.uint8), labels.astype(np.int64))


@cache
def trained_classifier(preprocessing: str) -> SmallClassifier:
    """Trained for some seconds on pictures prepared by a preset; the caller must not change it."""
    pictures = draw_pictures(768, seed=1)
    inputs, labels = preset(preprocessing).apply_batch(pictures.images), torch.from_numpy(pictures.labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = SmallClassifier()
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for epoch in range(12):
            order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(epoch))
            for chosen in order.split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(inputs[chosen]), labels[chosen]).backward()
                optimizer.step()
    return network.eval()


def save_program(network: nn.Module, path: Path) -> Path:
    """A file that needs no code to be read."""
    batch = torch.export.Dim("batch", min=1, max=512)
    program = torch.export.export(network, (torch.zeros(2, 3, SIZE, SIZE),), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    return path


def save_folder(pictures: Pictures, folder: Path) -> Path:
    """One sub-folder for each class."""
    for i, (image, label) in enumerate(zip(pictures.images, pictures.labels, strict=True)):
        (folder / f"class{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"class{label}" / f"{i:03}.png")
    return folder
