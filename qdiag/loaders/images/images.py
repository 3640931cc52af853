"""Image files as samples, decoded batch by batch."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from qdiag.batches import Batch
from qdiag.errors import DataError
from qdiag.files.read import open_regular
from qdiag.files.refusal import refusal
from qdiag.loaders.data.arrays import update_targets
from qdiag.loaders.data.samples import Hash, read_ahead
from qdiag.loaders.images.geometry import moved_boxes, moved_mask
from qdiag.loaders.images.preprocessing import Preprocessing
from qdiag.loaders.targets.masks import class_numbers
from qdiag.targets import kind_of_targets, target_rows

_Read = TypeVar("_Read")
_Pixels = tuple[NDArray[np.uint8], tuple[int, int]]
_MOST_BYTES = 1 << 25
"""Of prepared images that are kept for passes that follow: 220 of 224 x 224."""

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class ImageSamples:
    """Images that are opened when a batch needs them; two batches are held, and the first prepared images as bytes.

    Attributes:
        root: the folder. files: paths below it.
        labels: of all images, in a form of `qdiag.targets`; None without labels, and where `masks` are given.
        how: the preprocessing of every image.
        masks: one file per image.
    """

    source: str
    root: Path
    files: tuple[str, ...]
    labels: Any
    how: Preprocessing
    masks: tuple[Path, ...] = ()
    _kept: dict[int, _Pixels] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def sample_count(self) -> int:
        return len(self.files)

    @property
    def is_labelled(self) -> bool:
        return self.labels is not None or bool(self.masks)

    @property
    def own_batch_size(self) -> int | None:
        return None

    @property
    def preprocessing(self) -> str:
        return self.how.describe()

    def name(self, index: int) -> str:
        return str(self.root / self.files[index])

    def batches(self, indices: Sequence[int], batch_size: int) -> Iterator[Batch]:
        first = indices[0]
        size = self._pixels(first)[0].shape
        mask_size = self._mask(first).shape if self.masks else ()

        def load(chunk: Sequence[int]) -> Batch:
            images, sizes = zip(*(self._pixels(index) for index in chunk), strict=True)
            for index, image in zip(chunk, images, strict=True):
                if image.shape != size:
                    self._refuse_sizes(self.name, first, size, index, image.shape)
            tensor = self.how.normalized(np.stack(images))
            return Batch((tensor,), labels=self._targets(chunk, sizes, first, mask_size))

        return read_ahead(load, indices, batch_size)

    def _targets(
        self, chunk: Sequence[int], sizes: Sequence[tuple[int, int]], first: int, mask_size: tuple[int, ...]
    ) -> Any:
        """Of the images of a batch, whose stored height and width are `sizes`."""
        if self.masks:
            masks = [self._mask(index) for index in chunk]
            for index, mask in zip(chunk, masks, strict=True):
                if mask.shape != mask_size:
                    self._refuse_sizes(lambda i: str(self.masks[i]), first, mask_size, index, mask.shape)
            return torch.from_numpy(np.stack(masks))
        targets = target_rows(self.labels, chunk)
        if kind_of_targets(targets) != "boxes":
            return targets
        return [moved_boxes(entry, *size, self.how) for entry, size in zip(targets, sizes, strict=True)]

    def update_digest(self, digest: Hash, indices: Sequence[int]) -> None:
        for index in indices:
            digest.update(_bytes(self.root / self.files[index], "image"))
        update_targets(digest, target_rows(self.labels, indices))
        for index in indices if self.masks else ():
            digest.update(_bytes(self.masks[index], "mask"))

    def _mask(self, index: int) -> NDArray[Any]:
        return _opened(self.masks[index], "mask", lambda image: moved_mask(class_numbers(image), self.how))

    def _pixels(self, index: int) -> _Pixels:
        """The image, and its height and width before preprocessing; where there is room it is kept for other passes."""
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        path = self.root / self.files[index]
        found = _opened(path, "image", lambda image: (self.how.pixels(image), (image.height, image.width)))
        if (len(self._kept) + 1) * found[0].nbytes <= _MOST_BYTES:
            self._kept[index] = found[0].copy(), found[1]  # a crop is a view of the whole image
        return found

    def _refuse_sizes(
        self, name: Callable[[int], str], first: int, size: tuple[Any, ...], other: int, other_size: tuple[Any, ...]
    ) -> None:
        raise DataError(
            f"{size[0]}x{size[1]}, but {name(other).removeprefix(f'{self.root}{os.sep}')} is "
            f"{other_size[0]}x{other_size[1]} (height x width)"
            + (" after preprocessing" if self.how.resize is not None else ""),
            at=name(first),
            hint="images of different sizes need `crop`, with `resize` where some are smaller",
        )


def _bytes(path: Path, what: str) -> bytes:
    try:
        with open_regular(path) as stream:
            return stream.read()
    except OSError as error:
        raise DataError(f"the {what} cannot be read: {refusal(error)}", at=str(path)) from error


def _opened(path: Path, what: str, read: Callable[[Image.Image], _Read]) -> _Read:
    """What `read` makes of an image file.

    Raises:
        DataError: naming the file, which does not exist or cannot be read.
    """
    try:
        with open_regular(path) as stream, Image.open(stream) as image:
            return read(image)
    except DataError as error:
        raise DataError(error.message, at=str(path), hint=error.hint) from error
    except FileNotFoundError as error:
        raise DataError(
            f"the {what} does not exist", at=str(path), hint="check the paths in the list and where its folder lies"
        ) from error
    except Exception as error:  # each of Pillow's formats has its own way to fail
        raise DataError(
            f"the {what} cannot be read: {_fact(error)}", at=str(path), hint="replace or remove the file"
        ) from error


def _fact(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is no image of a known format"
    if isinstance(error, OSError) and error.errno is not None:
        return refusal(error)
    return "it ends too early" if "truncated" in str(error) else "it is damaged"
