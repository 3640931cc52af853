"""The images of an experiment, and how each seed divides them anew."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from qdiag.batches import Batch, Batches, Datasets
from qdiag.core.listed import count_noun
from qdiag.errors import DataError
from qdiag.loaders.data.sources import batches_from
from qdiag.train.plain.pixels import Pixels, as_input

TEST_AT_MOST, JUDGES_AT_MOST, CALIBRATION_AT_MOST = 2000, 500, 128
_TEST_SHARE, _JUDGE_SHARE = 0.4, 0.2
_LEAST = 20
"""Images in all: fewer cannot be divided into parts that say anything."""


@dataclass(frozen=True)
class ImageSet:
    """Labelled images in memory.

    Attributes:
        images: (N, 3, H, W) uint8. labels: (N,) int64, from 0 to class_count - 1.
        digest: SHA-256 over both.
        is_given: by the user, rather than part of the package.
        shift: pixels by which training images are shifted at random.
        resized: their shorter side, where they were resized.
    """

    source: str
    digest: str
    images: Tensor
    labels: Tensor
    class_count: int
    is_given: bool = True
    shift: int = 2
    resized: int | None = None

    @cached_property
    def mirrors(self) -> bool:
        """Training images are mirrored at random: those in colour are, and grey ones, such as digits, are not."""
        first = self.images[:256]
        return not bool((first[:, 0] == first[:, 1]).all() and (first[:, 1] == first[:, 2]).all())

    def divided(self, seed: int) -> "Division":
        """The parts for one seed; every image is in one of them.

        Raises:
            DataError: there are too few images.
        """
        count = len(self.images)
        if count < _LEAST:
            words = f"there {'is' if count == 1 else 'are'} only {count_noun(count, 'image')}"
            raise DataError(words, at=self.source, hint=f"give at least {_LEAST}, with their labels")
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        test = min(TEST_AT_MOST, int(_TEST_SHARE * count))
        judges = min(JUDGES_AT_MOST, int(_JUDGE_SHARE * (count - test)))
        return Division(self, order[test + judges :], order[test : test + judges], order[:test])


@dataclass(frozen=True)
class Division:
    """The images of one seed.

    Attributes:
        trained: places of the images that are trained on; the first of them calibrate.
        judges: places of those by which the best epoch of a training is chosen.
        tested: places of those that are measured, and take part in nothing else.
    """

    whole: ImageSet
    trained: Tensor
    judges: Tensor
    tested: Tensor

    @property
    def calibration_count(self) -> int:
        return min(CALIBRATION_AT_MOST, len(self.trained))

    @property
    def pixels(self) -> Pixels:
        """What is trained on."""
        whole = self.whole
        images, labels = whole.images[self.trained], whole.labels[self.trained]
        return Pixels(images, labels, shift=whole.shift, mirrors=whole.mirrors)

    @cached_property
    def datasets(self) -> Datasets:
        """The images that calibrate, and those that are measured."""
        words = f"{self.calibration_count} training images calibrate, {len(self.tested)} others are measured"
        calibration = self._batches(self.trained[: self.calibration_count], "training images")
        return Datasets(calibration, self._batches(self.tested, "held-out images"), words)

    @cached_property
    def judging(self) -> Batches:
        """The images that choose the best epoch."""
        return self._batches(self.judges, "images that choose the epoch")

    def _batches(self, places: Tensor, name: str) -> Batches:
        pair = (as_input(self.whole.images[places]), self.whole.labels[places])
        return batches_from(pair, 64, f"{self.whole.source}, {name}")


@dataclass
class ChangedImages:
    """Training images as `Batches`, shifted and mirrored anew each time they are gone through.

    Attributes:
        pixels: the images. seed: of the changes; the n-th pass of one seed is always the same.
        repeats: how often each image comes in one pass.
    """

    pixels: Pixels
    source: str
    seed: int
    batch_size: int
    repeats: int = 1
    is_labelled: bool = True
    is_data_free: bool = False
    is_reproducible: bool = False
    preprocessing: str = "x/127.5 - 1"
    _passes: int = 0

    @property
    def sample_count(self) -> int:
        return self.repeats * len(self.pixels)

    def name(self, position: int) -> str:
        """Its number."""
        return f"image {position % len(self.pixels)}"

    def digest(self) -> str:
        """Nothing is told, since every pass is another one."""
        return ""

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed((self.seed << 16) + self._passes)
        self._passes += 1
        for _ in range(self.repeats):
            for start in range(0, len(self.pixels), self.batch_size):
                rows = slice(start, start + self.batch_size)
                images = self.pixels.changed(self.pixels.images[rows], generator)
                yield Batch((as_input(images),), labels=self.pixels.labels[rows])
