"""Batches taken apart into samples, and put together again."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, sample_axis
from qdiag.targets import joined_targets, target_rows


def rows(batch: Batch, indices: Sequence[int]) -> Batch:
    """These samples with their labels; an index may come twice. What has no batch axis stays whole."""
    count, wanted = batch.sample_count, torch.as_tensor(indices)

    def cut(x: Tensor) -> Tensor:
        axis = sample_axis(x, count)
        return x if axis is None else x.index_select(axis, wanted.to(x.device))

    args, kwargs = pytree.tree_map_only(Tensor, cut, (batch.args, dict(batch.kwargs)))
    return Batch(args, kwargs, target_rows(batch.labels, indices))


def batch_axes(batch: Batch) -> list[int | None]:
    """The axis that counts the samples in each leaf of the arguments; None for what belongs to the whole batch."""
    leaves = pytree.tree_leaves((batch.args, dict(batch.kwargs)))
    return [sample_axis(x, batch.sample_count) if isinstance(x, Tensor) else None for x in leaves]


def joined_batches(parts: Sequence[Batch], axes: Sequence[int | None]) -> Batch:
    """One batch of the samples of all parts, one after another."""
    trees = [pytree.tree_flatten((part.args, dict(part.kwargs))) for part in parts]
    columns = zip(*(leaves for leaves, _ in trees), strict=True)
    merged = [c[0] if axis is None else torch.cat(list(c), axis) for c, axis in zip(columns, axes, strict=True)]
    args, kwargs = pytree.tree_unflatten(merged, trees[0][1])
    return Batch(args, kwargs, joined_targets([part.labels for part in parts]))
