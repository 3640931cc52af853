"""Batches of exactly one size, for networks that accept no other, and batches of a few samples."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, Datasets, RewrittenBatches, sample_axis
from qdiag.errors import DataError
from qdiag.targets import joined_targets, target_rows


def static_batch(model: nn.Module | ExportedProgram) -> int | None:
    """The one batch size that a saved program accepts; None when it accepts any."""
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
    return Datasets(fixed, fixed if is_same else other, datasets.split)


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

    def __iter__(self) -> Iterator[Batch]:
        if self.sample_count == 0:
            raise DataError(
                f"{self.inner.sample_count} samples, but the network takes batches of exactly {self.size}",
                hint="give more samples, or a network (or a saved program) that takes any batch size",
            )
        yield from _regrouped(self.inner, self.size)


def chosen(batch: Batch, indices: Sequence[int]) -> Batch:
    """These samples of the batch, without labels; an index may come twice. What has no batch axis stays whole."""
    cut = _rows(replace(batch, labels=None), indices)
    return Batch(cut.args, cut.kwargs)


def on_cpu(batch: Batch) -> Batch:
    """The batch with its tensors on the CPU, without labels."""
    args, kwargs = pytree.tree_map_only(Tensor, lambda x: x.cpu(), (batch.args, dict(batch.kwargs)))
    return Batch(args, kwargs)


def _rows(batch: Batch, indices: Sequence[int]) -> Batch:
    count, wanted = batch.sample_count, torch.as_tensor(indices)

    def cut(x: Tensor) -> Tensor:
        axis = sample_axis(x, count)
        return x if axis is None else x.index_select(axis, wanted.to(x.device))

    args, kwargs = pytree.tree_map_only(Tensor, cut, (batch.args, dict(batch.kwargs)))
    return Batch(args, kwargs, target_rows(batch.labels, indices))


def _regrouped(batches: Iterable[Batch], size: int) -> Iterator[Batch]:
    """The samples of all batches in batches of exactly `size`."""
    held: list[Batch] = []
    axes: list[int | None] | None = None
    for batch in batches:
        if axes is None or batch.sample_count > 1:  # of one sample, several axes may have the size of the batch
            axes = _axes(batch)
        start = 0
        while start < batch.sample_count:
            count = sum(part.sample_count for part in held)
            stop = min(start + size - count, batch.sample_count)
            held.append(_rows(batch, range(start, stop)))
            start = stop
            if sum(part.sample_count for part in held) == size:
                yield _joined(held, axes)
                held = []


def _axes(batch: Batch) -> list[int | None]:
    leaves = pytree.tree_leaves((batch.args, dict(batch.kwargs)))
    return [sample_axis(x, batch.sample_count) if isinstance(x, Tensor) else None for x in leaves]


def _joined(parts: list[Batch], axes: Sequence[int | None]) -> Batch:
    trees = [pytree.tree_flatten((part.args, dict(part.kwargs))) for part in parts]
    columns = zip(*(leaves for leaves, _ in trees), strict=True)
    merged = [c[0] if axis is None else torch.cat(list(c), axis) for c, axis in zip(columns, axes, strict=True)]
    args, kwargs = pytree.tree_unflatten(merged, trees[0][1])
    return Batch(args, kwargs, joined_targets([part.labels for part in parts]))
