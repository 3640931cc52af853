"""Inputs for a network, one batch at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol, runtime_checkable

from torch import Tensor
from torch.utils import _pytree as pytree

from qdiag.core.progress import Progress
from qdiag.errors import DataError


@dataclass(frozen=True)
class Batch:
    """The arguments of one call, and what is known about them.

    Attributes:
        args, kwargs: arguments of `forward`: tensors, or tuples, lists and dicts of tensors, and plain numbers, which
            every call gets. The first tensor counts the samples on its first axis; others may on another one, see
            `sample_axis`.
        labels: what the samples are judged by, in one of the forms of `qdiag.targets`: a tensor whose first axis counts
            samples (class numbers (N,), masks, floats), a list with one entry per sample (boxes, texts), or a tuple or
            dictionary of these; None without labels.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    labels: Any = None

    @property
    def tensors(self) -> list[Tensor]:
        """Every tensor among the arguments, in order."""
        return [leaf for leaf in pytree.tree_leaves((self.args, dict(self.kwargs))) if isinstance(leaf, Tensor)]

    @property
    def sample_count(self) -> int:
        """Samples in the batch, from the first axis of the first tensor."""
        tensors = self.tensors
        return int(tensors[0].shape[0]) if tensors and tensors[0].ndim else 1


def sample_axis(tensor: Tensor, count: int) -> int | None:
    """The axis that counts the samples of a batch of `count`: the first one of that size.

    A recurrent state (layers, N, features) has it second. None for a tensor that belongs to the whole batch.
    """
    return next((axis for axis, size in enumerate(tensor.shape) if size == count), None)


def size_hint(shape: Sequence[int], takes: Sequence[int | None]) -> str:
    """What gives square images of the size that a network takes; nothing where that is not what is wrong.

    Args:
        shape: of what it was given. takes: of its input, None for an axis of any length.
    """
    is_image = len(shape) == len(takes) == 4 and not _differ(shape[:2], takes[:2])
    is_square = is_image and takes[2] is not None and takes[2] == takes[3]
    return f"where these are images, set `resize` and `crop` to {takes[2]}" if is_square else ""


def not_accepted(batch: Batch, error: Exception, takes: Sequence[int | None] = ()) -> DataError:
    """What to say when a network fails on a batch: nearly always the batch has another shape or type than it takes.

    Args:
        takes: the shape of its one input where that is known; None for an axis of any length.
    """
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in batch.tensors)
    types = sorted({str(t.dtype).removeprefix("torch.") for t in batch.tensors} - {"float32"})
    typed = f" and of type {' and '.join(types)}" if types else ""
    checked = "the channels, the size and the names" if batch.kwargs else "the channels and the size"
    hint = f"check {checked} of the inputs; `crop` and `resize` change the size of images"
    if any(t.ndim == 4 and t.shape[3] <= _CHANNELS < t.shape[1] for t in batch.tensors):
        hint = "the channels may stand last: images are (samples, channels, height, width)"
    elif types:
        hint = f"where the network takes floats, store the values as float32; {hint}"
    message = f"the network does not accept inputs of shape {shapes}{typed}"
    tensors = batch.tensors
    if len(tensors) == 1 and _differ(tensors[0].shape, takes):
        message += f", it takes ({', '.join('?' if size is None else str(size) for size in takes)})"
        hint = size_hint(tensors[0].shape, takes) or hint
    return DataError(message, hint=hint)


def _differ(shape: Sequence[int], takes: Sequence[int | None]) -> bool:
    """Whether a shape is another one than a network takes, as far as that is known."""
    if len(shape) != len(takes):
        return bool(takes)
    return any(wanted not in (None, size) for size, wanted in zip(shape, takes, strict=True))


_CHANNELS = 4
"""Channels that an image has at most."""


class Batches(Protocol):
    """A set of inputs that can be run through again and again, in the same order.

    Attributes:
        source: where they come from, for the header.
        sample_count: samples in all. batch_size: samples in a full batch.
        is_labelled: batches carry labels.
        preprocessing: what is done to the stored values, in words.
        is_data_free: drawn from the network's own statistics rather than read.
        is_reproducible: equal digests mean equal values; not so where code that may change makes them anew each time.
    """

    @property
    def source(self) -> str: ...
    @property
    def sample_count(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def is_labelled(self) -> bool: ...
    @property
    def preprocessing(self) -> str: ...
    @property
    def is_data_free(self) -> bool: ...
    @property
    def is_reproducible(self) -> bool: ...

    def name(self, position: int) -> str:
        """What to call the sample that comes at this position: its file, or its array and index, or its number."""
        ...

    def digest(self) -> str:
        """SHA-256 over the stored samples that are used and over the preprocessing, in hexadecimal."""
        ...

    def __iter__(self) -> Iterator[Batch]: ...


@runtime_checkable
class PartlyRead(Protocol):
    """Batches of which some can be had without reading those before them."""

    def between(self, start: int, stop: int | None) -> Iterator[Batch]:
        """Batches from number `start` on, to all before number `stop`; None for all that follow."""
        ...


def batches_between(batches: Batches, start: int, stop: int | None) -> Iterator[Batch]:
    """Batches from number `start` on, to all before number `stop`; None for all that follow."""
    return batches.between(start, stop) if isinstance(batches, PartlyRead) else islice(iter(batches), start, stop)


def run_through(batches: Batches, progress: Progress, stage: str) -> Iterator[Batch]:
    """All batches in order, as a stage of the work whose steps are samples."""
    progress.start(stage, batches.sample_count)
    for batch in batches:
        yield batch
        progress.advance(batch.sample_count)
    progress.finish()


@dataclass(frozen=True)
class Datasets:
    """Inputs to calibrate on and inputs to measure on.

    Attributes:
        split: how the two were told apart, in words ("the archive's own calib/eval split", "100 of 500, seed 0", ...).
        calibrates: False where no range is taken from the former: a quantized file holds its ranges.
    """

    calibration: Batches
    evaluation: Batches
    split: str
    calibrates: bool = True


@dataclass(frozen=True)
class RewrittenBatches:
    """Batches with the same origin as others."""

    inner: Batches

    @property
    def source(self) -> str:
        return self.inner.source

    @property
    def sample_count(self) -> int:
        return self.inner.sample_count

    @property
    def batch_size(self) -> int:
        return self.inner.batch_size

    @property
    def is_labelled(self) -> bool:
        return self.inner.is_labelled

    @property
    def preprocessing(self) -> str:
        return self.inner.preprocessing

    @property
    def is_data_free(self) -> bool:
        return self.inner.is_data_free

    @property
    def is_reproducible(self) -> bool:
        return self.inner.is_reproducible

    @property
    def batch_sizes(self) -> Sequence[int] | None:
        """See `qdiag.distributed.batch_sizes`."""
        sizes: Sequence[int] | None = getattr(self.inner, "batch_sizes", None)
        return sizes

    def name(self, position: int) -> str:
        """That of the stored sample."""
        return self.inner.name(position)

    def digest(self) -> str:
        """That of the stored data."""
        return self.inner.digest()


class ChangedBatches(RewrittenBatches):
    """Each batch of others changed by itself."""

    def changed(self, batch: Batch) -> Batch:
        """What becomes of a batch."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Batch]:
        return map(self.changed, self.inner)

    def between(self, start: int, stop: int | None) -> Iterator[Batch]:
        """See `PartlyRead`."""
        return map(self.changed, batches_between(self.inner, start, stop))
