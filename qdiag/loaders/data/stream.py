"""Batches that can only be gone through from the start: data loaders, lists of batches, factories."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.errors import DataError, QdiagError
from qdiag.loaders.data.batch import as_batch, joined, rows
from qdiag.loaders.data.checks import check_finite, numbered
from qdiag.loaders.data.samples import Hash
from qdiag.numerics.tensor_bytes import tensor_bytes

_PROBES = 64
"""Values of each tensor that tell whether a batch is the one of the first pass."""
_REPEAT_HINT = (
    "every pass must yield the same samples in the same order: no shuffling, no random augmentation, "
    "and a fresh iterator each time"
)


@dataclass(frozen=True)
class StreamSamples:
    """The samples of a stream that is opened anew for each pass.

    Attributes:
        open_stream: called once per pass.
        own_batch_size: the largest batch of the stream.
        fingerprints: of each batch in the first pass; later passes must repeat them.
        content: SHA-256 over every value of the first pass.
    """

    source: str
    open_stream: Callable[[], Iterable[object]]
    sample_count: int
    own_batch_size: int
    labels: Tensor | None
    is_labelled: bool
    fingerprints: tuple[bytes, ...]
    content: bytes

    @property
    def preprocessing(self) -> str:
        return "values as the batches hold them"

    def name(self, index: int) -> str:
        return f"sample {index}"

    def batches(self, indices: Sequence[int], batch_size: int) -> Iterator[Batch]:
        """Samples in the order of the stream, whatever the order of `indices`; the stream's own batches, unchanged,
        when all are wanted."""
        if len(indices) == self.sample_count:
            yield from self._pass()
            return
        wanted, position, pending, held = sorted(indices), 0, list[Batch](), 0
        start = 0
        for batch in self._pass():
            stop = start + batch.sample_count
            here = []
            while position < len(wanted) and wanted[position] < stop:
                here.append(wanted[position] - start)
                position += 1
            start = stop
            while here:
                taken, here = here[: batch_size - held], here[batch_size - held :]
                pending.append(self._cut(batch, taken))
                held += len(taken)
                if held == batch_size:
                    yield joined(pending)
                    pending, held = [], 0
        if pending:
            yield joined(pending)

    def update_digest(self, digest: Hash, indices: Sequence[int]) -> None:
        digest.update(self.content)
        digest.update(",".join(map(str, sorted(indices))).encode())

    def _cut(self, batch: Batch, indices: Sequence[int]) -> Batch:
        try:
            return rows(batch, indices)
        except DataError as error:
            raise DataError(error.message, at=self.source, hint=error.hint) from error

    def _pass(self) -> Iterator[Batch]:
        count = 0
        for number, batch in enumerate(opened(self.open_stream, self.source)):
            if number >= len(self.fingerprints) or fingerprint(batch) != self.fingerprints[number]:
                raise DataError(f"batch {number} is not the one of the first pass", at=self.source, hint=_REPEAT_HINT)
            count += 1
            yield batch
        if count != len(self.fingerprints):
            raise DataError(
                f"{count} batches, but {len(self.fingerprints)} in the first pass", at=self.source, hint=_REPEAT_HINT
            )


def survey(open_stream: Callable[[], Iterable[object]], source: str) -> StreamSamples:
    """Goes through the stream once: counts and checks the samples, and remembers what they look like.

    Raises:
        DataError: no batches, batches that cannot be used, NaN or Inf, labels in some batches only.
    """
    count, largest, prints, labels = 0, 0, list[bytes](), list[Tensor | None]()
    content = hashlib.sha256()
    for batch in opened(open_stream, source):
        check_finite(batch, at=source, name=numbered("sample {}", range(count, count + batch.sample_count)))
        prints.append(fingerprint(batch))
        _hash_all(content, batch)
        labels.append(batch.labels)
        count += batch.sample_count
        largest = max(largest, batch.sample_count)
    if not prints:
        raise DataError("it yields no batches", at=source, hint="yield at least one batch with one sample")
    labelled = [batch_labels is not None for batch_labels in labels]
    if any(labelled) and not all(labelled):
        raise DataError(f"batch {labelled.index(False)} has no labels, others have", at=source, hint="all or none")
    classes = [part for part in labels if part is not None and part.ndim == 1 and part.dtype == torch.int64]
    known = torch.cat([part.cpu() for part in classes]) if len(classes) == len(labels) else None
    return StreamSamples(source, open_stream, count, largest, known, all(labelled), tuple(prints), content.digest())


def opened(open_stream: Callable[[], Iterable[object]], source: str) -> Iterator[Batch]:
    """One pass, with the user's own exceptions told as facts about the data."""
    try:
        items = iter(open_stream())
    except QdiagError:
        raise
    except Exception as error:
        raise DataError(f"opening the data failed: {type(error).__name__}: {error}", at=source) from error
    number = 0
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except QdiagError:
            raise
        except Exception as error:
            raise DataError(f"reading batch {number} failed: {type(error).__name__}: {error}", at=source) from error
        yield as_batch(item, f"{source}, batch {number}")
        number += 1


def fingerprint(batch: Batch) -> bytes:
    """Shapes, types and a few values of every tensor."""
    digest = hashlib.sha256()
    for tensor in _all_tensors(batch):
        flat = tensor.detach().reshape(-1)
        _hash(digest, flat[:: max(1, flat.numel() // _PROBES)], tuple(tensor.shape))
    return digest.digest()


def _hash_all(digest: Hash, batch: Batch) -> None:
    for tensor in _all_tensors(batch):
        _hash(digest, tensor, tuple(tensor.shape))


def _all_tensors(batch: Batch) -> list[Tensor]:
    return batch.tensors if batch.labels is None else [*batch.tensors, batch.labels]


def _hash(digest: Hash, tensor: Tensor, shape: tuple[int, ...]) -> None:
    digest.update(f"{tensor.dtype} {shape}\n".encode())
    digest.update(tensor_bytes(tensor).numpy().tobytes())
