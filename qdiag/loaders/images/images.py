"""Image files as samples, decoded batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from qdiag.batches import Batch
from qdiag.errors import DataError
from qdiag.files.read import open_regular
from qdiag.loaders.data.samples import Hash, read_ahead
from qdiag.loaders.images.preprocessing import Preprocessing

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class ImageSamples:
    """Images that are opened when a batch needs them; never more than two batches are held.

    Attributes:
        root: the folder. files: paths below it.
        labels: class numbers (N,), or None.
        how: the preprocessing of every image.
    """

    source: str
    root: Path
    files: tuple[str, ...]
    labels: Tensor | None
    how: Preprocessing

    @property
    def sample_count(self) -> int:
        return len(self.files)

    @property
    def is_labelled(self) -> bool:
        return self.labels is not None

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
        size = self._pixels(first).shape

        def load(chunk: Sequence[int]) -> Batch:
            images = [self._pixels(index) for index in chunk]
            for index, image in zip(chunk, images, strict=True):
                if image.shape != size:
                    self._refuse_sizes(first, size, index, image.shape)
            tensor = self.how.normalized(np.stack(images))
            return Batch((tensor,), labels=None if self.labels is None else self.labels[list(chunk)])

        return read_ahead(load, indices, batch_size)

    def update_digest(self, digest: Hash, indices: Sequence[int]) -> None:
        for index in indices:
            try:
                with open_regular(self.root / self.files[index]) as stream:
                    digest.update(stream.read())
            except OSError as error:
                raise DataError(f"the image cannot be read: {error.strerror}", at=self.name(index)) from error
        if self.labels is not None:
            digest.update(self.labels[list(indices)].numpy().tobytes())

    def _pixels(self, index: int) -> NDArray[np.uint8]:
        path = self.root / self.files[index]
        try:
            with open_regular(path) as stream, Image.open(stream) as image:
                return self.how.pixels(image)
        except DataError as error:
            raise DataError(error.message, at=str(path), hint=error.hint) from error
        except FileNotFoundError as error:
            raise DataError("the image does not exist", at=str(path)) from error
        except Exception as error:  # each of Pillow's formats has its own way to fail
            raise DataError(
                f"the image cannot be read: {_fact(error, path)}", at=str(path), hint="replace or remove the file"
            ) from error

    def _refuse_sizes(self, first: int, size: tuple[Any, ...], other: int, other_size: tuple[Any, ...]) -> None:
        raise DataError(
            f"{size[0]}x{size[1]}, but {self.files[other]} is {other_size[0]}x{other_size[1]} (height x width)"
            + (" after preprocessing" if self.how.resize is not None else ""),
            at=self.name(first),
            hint="images of different sizes need --crop, with --resize where some are smaller",
        )


def _fact(error: Exception, path: Path) -> str:
    text = str(error).strip().replace(f" {str(path)!r}", "").replace(f"'{path}'", "the file")
    return text or type(error).__name__
