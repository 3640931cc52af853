"""Stored samples, a selection of them as `Batches`, and what a reader of a data format looks like."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from qdiag.batches import Batch
from qdiag.distributed.batch_sizes import uneven
from qdiag.loaders.images.preprocessing import Preprocessing


class Hash(Protocol):
    """The part of a `hashlib` object that is used here."""

    def update(self, data: bytes, /) -> None: ...


class SampleSet(Protocol):
    """Samples numbered from 0, in stored order, read when they are asked for.

    Attributes:
        source: where they come from. preprocessing: what is done to stored values, in words.
        sample_count: samples in all. is_labelled: batches carry labels.
        labels: of every sample, where they are known without reading the samples, in a form of `qdiag.targets`.
        own_batch_size: of a source that makes its own batches; None: any batch size can be asked for.
    """

    @property
    def source(self) -> str: ...
    @property
    def preprocessing(self) -> str: ...
    @property
    def sample_count(self) -> int: ...
    @property
    def is_labelled(self) -> bool: ...
    @property
    def labels(self) -> Any: ...
    @property
    def own_batch_size(self) -> int | None: ...

    def name(self, index: int) -> str:
        """The file, or the array and the index in it, for messages."""
        ...

    def batches(self, indices: Sequence[int], batch_size: int) -> Iterator[Batch]:
        """The samples of `indices`, read batch by batch.

        Raises:
            DataError: a sample that cannot be used, by name.
        """
        ...

    def update_digest(self, digest: Hash, indices: Sequence[int]) -> None:
        """Adds the stored bytes and the labels of these samples."""
        ...


@dataclass(frozen=True)
class StoredData:
    """What a reader found.

    Attributes:
        samples: those to measure, or all of them when `calibration` is None.
        calibration: samples that the data sets apart for calibration.
        told_by: what sets them apart, in words.
    """

    samples: SampleSet
    calibration: SampleSet | None = None
    told_by: str = ""


@dataclass(frozen=True)
class Reading:
    """How values are to be read: `preprocessing` when the user gave one, the network's `input_shape` when known, and
    where the `targets` of images are when the user said so."""

    preprocessing: Preprocessing | None = None
    input_shape: tuple[int, ...] | None = None
    targets: str | None = None

    @property
    def channels(self) -> int | None:
        """Channels of a network that takes images."""
        return self.input_shape[1] if self.input_shape is not None and len(self.input_shape) == 4 else None

    def image_preprocessing(self) -> Preprocessing:
        """The preprocessing of uint8 images: the user's or x/255, with the channels that the network takes."""
        chosen = self.preprocessing or Preprocessing()
        if chosen.channels is None and self.channels in (1, 3):
            return chosen.override(channels=self.channels)
        return chosen


@dataclass(frozen=True)
class Reader:
    """One data format: whether a path holds it, told by content, and how to read it."""

    name: str
    matches: Callable[[Path], bool]
    read: Callable[[Path, Reading], StoredData]


@dataclass(frozen=True)
class Selection:
    """Some samples of a set, as `Batches`."""

    samples: SampleSet
    indices: tuple[int, ...]
    wanted_batch_size: int

    @property
    def source(self) -> str:
        return self.samples.source

    @property
    def sample_count(self) -> int:
        return len(self.indices)

    @property
    def batch_size(self) -> int:
        return self.samples.own_batch_size or self.wanted_batch_size

    @property
    def batch_sizes(self) -> Sequence[int] | None:
        """See `qdiag.distributed.batch_sizes`; a part of a source that makes its own batches comes in full ones."""
        sizes: Sequence[int] = getattr(self.samples, "sizes", ())
        return uneven(sizes, self.batch_size) if sizes and len(self.indices) == self.samples.sample_count else None

    @property
    def is_labelled(self) -> bool:
        return self.samples.is_labelled

    @property
    def preprocessing(self) -> str:
        return self.samples.preprocessing

    @property
    def is_data_free(self) -> bool:
        return False

    @property
    def is_reproducible(self) -> bool:
        return True

    def name(self, position: int) -> str:
        return self.samples.name(self.indices[position])

    def digest(self) -> str:
        """See `Batches`. The samples are read for it once: parts of these ask for it too."""
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256(f"{self.preprocessing}\n{self.sample_count}\n".encode())
        self.samples.update_digest(digest, self.indices)
        return digest.hexdigest()

    def __iter__(self) -> Iterator[Batch]:
        return self.samples.batches(self.indices, self.batch_size)

    def between(self, start: int, stop: int | None) -> Iterator[Batch]:
        """See `PartlyRead`; a source that makes its own batches is gone through from its beginning."""
        if self.samples.own_batch_size is not None:
            return islice(iter(self), start, stop)
        size = self.wanted_batch_size
        indices = self.indices[start * size : None if stop is None else stop * size]
        return self.samples.batches(indices, size) if indices else iter(())

    def some(self, numbers: Sequence[int]) -> Iterator[Batch] | None:
        """See `Picked`."""
        if self.samples.own_batch_size is not None:
            return None
        size = self.wanted_batch_size
        # none but the last one is smaller
        indices = [i for number in numbers for i in self.indices[number * size : (number + 1) * size]]
        return self.samples.batches(indices, size)


def read_ahead(load: Callable[[Sequence[int]], Batch], indices: Sequence[int], batch_size: int) -> Iterator[Batch]:
    """Batches of `load(indices)`: one is read while its predecessor is in use, never more than that."""
    chunks = [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="qdiag-read") as reader:
        pending = reader.submit(load, chunks[0])
        for chunk in chunks[1:]:
            batch = pending.result()
            pending = reader.submit(load, chunk)
            yield batch
        yield pending.result()
