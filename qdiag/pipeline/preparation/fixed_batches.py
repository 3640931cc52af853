"""Batches of exactly one size, for networks that accept no other, and batches of a few samples."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, Datasets, RewrittenBatches, batches_between
from qdiag.core.listed import count_noun
from qdiag.errors import DataError
from qdiag.loaders.data.reread import are_full
from qdiag.onnx.network import OnnxNetwork
from qdiag.simulate.passes.batch_rows import batch_axes, joined_batches, rows


def static_batch(model: nn.Module | ExportedProgram) -> int | None:
    """The one batch size that a saved program accepts; None when it accepts any."""
    if isinstance(model, OnnxNetwork):
        return model.batch_size
    if not isinstance(model, ExportedProgram):
        return None
    for node in model.graph.nodes:
        value = node.meta.get("val") if node.op == "placeholder" else None
        if node.name in model.graph_signature.user_inputs and isinstance(value, Tensor) and value.ndim:
            return value.shape[0] if isinstance(value.shape[0], int) else None
    return None


def in_batches_of(datasets: Datasets, size: int | None) -> Datasets:
    """The same samples in batches of exactly `size`; as they are for None."""
    if size is None:
        return datasets
    fixed = FixedBatches(datasets.calibration, size)
    other = FixedBatches(datasets.evaluation, size)
    is_same = datasets.evaluation is datasets.calibration
    return replace(datasets, calibration=fixed, evaluation=fixed if is_same else other)


@dataclass(frozen=True)
class FixedBatches(RewrittenBatches):
    """Batches of exactly `size` samples; what is left over at the end is not used."""

    size: int

    @property
    def sample_count(self) -> int:
        return self.inner.sample_count // self.size * self.size

    @property
    def batch_size(self) -> int:
        return self.size

    @property
    def batch_sizes(self) -> None:
        """All but the last are full."""

    def __iter__(self) -> Iterator[Batch]:
        if self.sample_count == 0:
            raise DataError(
                f"the network takes batches of exactly {self.size}, and there "
                f"{'is' if self.inner.sample_count == 1 else 'are'} {count_noun(self.inner.sample_count, 'sample')} to "
                "calibrate or to measure",
                hint=f"give more samples, so that each part of them has {self.size} at least, or a network (or a saved "
                "program) that takes any batch size",
            )
        yield from _regrouped(self.inner, self.size)

    def between(self, start: int, stop: int | None) -> Iterator[Batch]:
        """See `PartlyRead`."""
        if not are_full(self.inner):
            return islice(iter(self), start, stop)
        every = self.sample_count // self.size
        stop = every if stop is None else min(stop, every)
        first, of_others = divmod(start * self.size, self.inner.batch_size)
        last = -(-stop * self.size // self.inner.batch_size)
        read = _without(batches_between(self.inner, first, last), of_others)
        return islice(_regrouped(read, self.size), max(stop - start, 0))


def chosen(batch: Batch, indices: Sequence[int]) -> Batch:
    """These samples of the batch, without labels; an index may come twice. What has no batch axis stays whole."""
    cut = rows(replace(batch, labels=None), indices)
    return Batch(cut.args, cut.kwargs)


def on_cpu(batch: Batch) -> Batch:
    """The batch with its tensors on the CPU, without labels."""
    args, kwargs = pytree.tree_map_only(Tensor, lambda x: x.cpu(), (batch.args, dict(batch.kwargs)))
    return Batch(args, kwargs)


def _without(batches: Iterable[Batch], count: int) -> Iterator[Batch]:
    """All samples but the first `count`, which are in the first batch."""
    for number, batch in enumerate(batches):
        yield batch if number or not count else rows(batch, range(count, batch.sample_count))


def _regrouped(batches: Iterable[Batch], size: int) -> Iterator[Batch]:
    """The samples of all batches in batches of exactly `size`."""
    held: list[Batch] = []
    axes: list[int | None] | None = None
    for batch in batches:
        if axes is None or batch.sample_count > 1:  # of one sample, several axes may have the size of the batch
            axes = batch_axes(batch)
        start = 0
        while start < batch.sample_count:
            count = sum(part.sample_count for part in held)
            stop = min(start + size - count, batch.sample_count)
            held.append(rows(batch, range(start, stop)))
            start = stop
            if sum(part.sample_count for part in held) == size:
                yield joined_batches(held, axes)
                held = []
