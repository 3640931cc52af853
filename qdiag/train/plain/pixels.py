"""Images in memory as a training sees them: in a random order, shifted and mirrored at random."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Pixels:
    """Images and what they show.

    Attributes:
        images: (N, C, H, W) uint8. labels: (N,) int64.
        shift: each image is shifted by up to so many pixels, in both directions; what comes in is the edge.
        mirrors: each image is mirrored with a probability of one half.
    """

    images: Tensor
    labels: Tensor
    shift: int = 0
    mirrors: bool = False

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in a random order, in batches of `size` as networks read them; what is left over is not used."""
        order = torch.randperm(len(self), generator=generator)
        for start in range(0, max(1, len(self) // size) * size, size):
            rows = order[start : start + size]
            yield as_input(self.changed(self.images[rows], generator)), self.labels[rows]

    def changed(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Each image shifted and mirrored by chance."""
        if self.shift:
            count, (height, width) = len(images), images.shape[2:]
            padded = F.pad(images.float(), (self.shift,) * 4, mode="replicate").to(images.dtype)
            top, left = torch.randint(0, 2 * self.shift + 1, (2, count), generator=generator)
            rows = (top[:, None] + torch.arange(height))[:, None, :, None]
            columns = (left[:, None] + torch.arange(width))[:, None, None, :]
            places = torch.arange(count)[:, None, None, None], torch.arange(images.shape[1])[None, :, None, None]
            images = padded[places[0], places[1], rows, columns]
        if self.mirrors:
            turned = torch.rand(len(images), generator=generator) < 0.5
            images = torch.where(turned[:, None, None, None], images.flip(3), images)
        return images


def as_input(images: Tensor) -> Tensor:
    """Bytes to float32 in [-1, 1], the preset `tf`."""
    return images.float() / 127.5 - 1.0
