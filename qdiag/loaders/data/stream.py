"""Batches that can only be gone through from the start: data loaders, lists of batches, factories."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.listed import count_noun
from qdiag.errors import DataError, QdiagError
from qdiag.files.code_failure import code_failure
from qdiag.loaders.data.batch import as_batch, joined, rows
from qdiag.loaders.data.checks import check_finite, numbered
from qdiag.loaders.data.samples import Hash
from qdiag.numerics.tensor_bytes import tensor_bytes
from qdiag.targets import NO_TARGETS, structure_of_targets, target_bytes

ALONE = "run that code in Python first, without qdiag"
"""What to do about code of the user that fails."""
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
        own_batch_size: the largest batch of the stream. sizes: of each of its batches.
        fingerprints: of each batch in the first pass; later passes must repeat them.
        content: SHA-256 over every value of the first pass.
        label_dtype: of float targets of which some batches hold whole numbers alone, and would be read as classes.
    """

    source: str
    open_stream: Callable[[], Iterable[object]]
    sample_count: int
    own_batch_size: int
    labels: Tensor | None
    is_labelled: bool
    fingerprints: tuple[bytes, ...]
    content: bytes
    label_dtype: torch.dtype | None = None
    sizes: tuple[int, ...] = ()

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
            yield batch if self.label_dtype is None else replace(batch, labels=batch.labels.to(self.label_dtype))
        if count != len(self.fingerprints):
            raise DataError(
                f"the data gave {count_noun(count, 'batch')} now, and {len(self.fingerprints)} in the first pass",
                at=self.source,
                hint=_REPEAT_HINT,
            )


def survey(open_stream: Callable[[], Iterable[object]], source: str) -> StreamSamples:
    """Goes through the stream once: counts and checks the samples, and remembers what they look like.

    Raises:
        DataError: no batches, batches that cannot be used, NaN or Inf, labels in some batches only.
    """
    count, sizes, prints = 0, list[int](), list[bytes]()
    structures, dtypes, classes = list[str](), list[torch.dtype](), list[Tensor]()
    content = hashlib.sha256()
    for batch in opened(open_stream, source):
        check_finite(batch, at=source, name=numbered("sample ", range(count, count + batch.sample_count)))
        prints.append(fingerprint(batch))
        _hash_all(content, batch)
        structures.append(structure_of_targets(batch.labels))
        if isinstance(batch.labels, Tensor):
            dtypes.append(batch.labels.dtype)
            if batch.labels.ndim == 1 and batch.labels.dtype == torch.int64:
                classes.append(batch.labels.cpu())
        count += batch.sample_count
        sizes.append(batch.sample_count)
    if not prints:
        raise DataError("it yields no batches", at=source, hint="yield at least one batch with one sample")
    _check_alike(structures, source)
    floats = next((dtype for dtype in dtypes if dtype.is_floating_point), None)
    return StreamSamples(
        source,
        open_stream,
        count,
        max(sizes),
        torch.cat(classes) if len(classes) == len(prints) else None,
        structures[0] != NO_TARGETS,
        tuple(prints),
        content.digest(),
        floats if classes else None,
        tuple(sizes),
    )


def _check_alike(structures: Sequence[str], source: str) -> None:
    """The targets of all batches have the same structure."""
    if NO_TARGETS in structures and any(structure != NO_TARGETS for structure in structures):
        number = structures.index(NO_TARGETS)
        raise DataError(f"batch {number} has no labels, others have", at=source, hint="all or none")
    other = next((number for number, structure in enumerate(structures) if structure != structures[0]), None)
    if other is not None:
        raise DataError(
            f"the targets of batch 0 are {structures[0]}, those of batch {other} {structures[other]}",
            at=source,
            hint="every batch needs targets of the same structure: a list holds one entry per sample, a tuple or a "
            "dictionary several targets of all samples",
        )


def opened(open_stream: Callable[[], Iterable[object]], source: str) -> Iterator[Batch]:
    """One pass, with the user's own exceptions told as facts about the data."""
    try:
        items = iter(open_stream())
    except QdiagError:
        raise
    except Exception as error:
        raise DataError(f"opening the data failed: {code_failure(error)}", at=source, hint=ALONE) from error
    number, branch_count = 0, None
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except QdiagError:
            raise
        except Exception as error:
            raise DataError(f"reading batch {number} failed: {code_failure(error)}", at=source, hint=ALONE) from error
        batch = as_batch(item, f"{source}, batch {number}", branch_count=branch_count)
        if number == 0 and isinstance(batch.labels, tuple):
            branch_count = len(batch.labels)
        yield batch
        number += 1


def fingerprint(batch: Batch) -> bytes:
    """Shapes, types and a few values of every tensor; targets that are no tensor whole."""
    digest = hashlib.sha256()
    for tensor in _all_tensors(batch):
        flat = tensor.detach().reshape(-1)
        _hash(digest, flat[:: max(1, flat.numel() // _PROBES)], tuple(tensor.shape))
    _hash_tree(digest, batch)
    return digest.digest()


def _hash_all(digest: Hash, batch: Batch) -> None:
    for tensor in _all_tensors(batch):
        _hash(digest, tensor, tuple(tensor.shape))
    _hash_tree(digest, batch)


def _all_tensors(batch: Batch) -> list[Tensor]:
    return [*batch.tensors, *([batch.labels] if isinstance(batch.labels, Tensor) else [])]


def _hash_tree(digest: Hash, batch: Batch) -> None:
    if batch.labels is not None and not isinstance(batch.labels, Tensor):
        for part in target_bytes(batch.labels):
            digest.update(part)


def _hash(digest: Hash, tensor: Tensor, shape: tuple[int, ...]) -> None:
    digest.update(f"{tensor.dtype} {shape}\n".encode())
    digest.update(tensor_bytes(tensor).numpy().tobytes())
