"""JPEG files inside an archive of arrays: all bytes one after another, and where each file begins and ends."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qdiag.batches import Batch
from qdiag.errors import DataError
from qdiag.loaders.data.arrays import holds_labels, update_targets
from qdiag.loaders.data.checks import check_label_count
from qdiag.loaders.data.samples import Hash, Reading, StoredData, read_ahead
from qdiag.loaders.images.preprocessing import Preprocessing
from qdiag.loaders.targets.arrays import array_targets
from qdiag.targets import target_rows

BYTES, OFFSETS = "jpeg", "offsets"


@dataclass(frozen=True)
class EncodedSamples:
    """Images that are decoded when a batch needs them.

    Attributes:
        jpeg: the bytes of all files. offsets: (N + 1,), file i is `jpeg[offsets[i]:offsets[i + 1]]`.
        labels: of all images, in a form of `qdiag.targets`; None without labels.
        how: the preprocessing of every image.
    """

    source: str
    jpeg: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    labels: Any
    how: Preprocessing

    @property
    def sample_count(self) -> int:
        return len(self.offsets) - 1

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
        return f"{BYTES}[{index}]"

    def batches(self, indices: Sequence[int], batch_size: int) -> Iterator[Batch]:
        size = self._pixels(indices[0]).shape

        def load(chunk: Sequence[int]) -> Batch:
            images = [self._pixels(index) for index in chunk]
            for index, image in zip(chunk, images, strict=True):
                if image.shape != size:
                    raise DataError(
                        f"{self.name(index)} is {image.shape[0]}x{image.shape[1]}, but {self.name(indices[0])} is "
                        f"{size[0]}x{size[1]} (height x width)",
                        at=self.source,
                        hint="images of different sizes need `crop`, with `resize` where some are smaller",
                    )
            return Batch((self.how.normalized(np.stack(images)),), labels=target_rows(self.labels, chunk))

        return read_ahead(load, indices, batch_size)

    def update_digest(self, digest: Hash, indices: Sequence[int]) -> None:
        for index in indices:
            digest.update(self._bytes(index))
        update_targets(digest, target_rows(self.labels, indices))

    def _bytes(self, index: int) -> bytes:
        return self.jpeg[self.offsets[index] : self.offsets[index + 1]].tobytes()

    def _pixels(self, index: int) -> NDArray[np.uint8]:
        try:
            with Image.open(io.BytesIO(self._bytes(index)), formats=("JPEG",)) as image:
                return self.how.pixels(image)
        except DataError as error:
            raise DataError(f"{self.name(index)}: {error.message}", at=self.source, hint=error.hint) from error
        except Exception as error:  # Pillow has several
            raise DataError(
                f"{self.name(index)} is no JPEG file that can be read", at=self.source, hint="store it again"
            ) from error


def holds_files(arrays: Mapping[str, Any]) -> bool:
    """Whether an archive holds files rather than values."""
    return BYTES in arrays and OFFSETS in arrays


def encoded_data(arrays: Mapping[str, Any], source: str, reading: Reading) -> StoredData:
    """The images of an archive; none is decoded yet.

    Raises:
        DataError: bytes and offsets that do not belong together, or labels that do not fit.
    """
    jpeg, offsets = arrays[BYTES], arrays[OFFSETS]
    if jpeg.dtype != np.uint8 or jpeg.ndim != 1:
        raise DataError(
            f"array {BYTES} is no row of bytes", at=source, hint="store the files as uint8, one after another"
        )
    if offsets.dtype.kind not in "iu" or offsets.ndim != 1 or len(offsets) < 2:
        raise DataError(f"array {OFFSETS} holds no places", at=source, hint="store N + 1 whole numbers for N files")
    places = offsets.astype(np.int64)
    if places[0] != 0 or places[-1] != len(jpeg) or bool((np.diff(places) <= 0).any()):
        raise DataError(
            f"array {OFFSETS} does not divide the {len(jpeg):,} bytes of {BYTES} into files",
            at=source,
            hint=f"let it rise from 0 to {len(jpeg)}",
        )
    stored = {name: array for name, array in arrays.items() if holds_labels(name)}
    try:
        labels = array_targets(stored, "", len(places) - 1)
    except DataError as error:
        raise DataError(error.message, at=f"{source}, {error.at}" if error.at else source, hint=error.hint) from error
    check_label_count(labels, len(places) - 1, at=source)
    return StoredData(EncodedSamples(f"{source} ({BYTES})", jpeg, places, labels, reading.image_preprocessing()))
