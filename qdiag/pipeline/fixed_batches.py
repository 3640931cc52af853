"""Batches of exactly one size, for networks that accept no other, and batches of a few samples."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, Batches, Datasets
from qdiag.errors import DataError


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

    def digest(self) -> str:
        """That of the stored data."""
        return self.inner.digest()


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
        for chunk in _chunks(_samples(self.inner), self.size):
            yield _stacked(chunk)


def chosen(batch: Batch, indices: Sequence[int]) -> Batch:
    """These samples of the batch, without labels; an index may come twice. What has no batch axis stays whole."""
    count, wanted = batch.sample_count, torch.as_tensor(indices)
    return _mapped(lambda x: x.index_select(0, wanted) if x.ndim and x.shape[0] == count else x, batch)


def on_cpu(batch: Batch) -> Batch:
    """The batch with its tensors on the CPU, without labels."""
    return _mapped(lambda x: x.cpu(), batch)


def _mapped(function: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    def mapped(leaf: Any) -> Any:
        return function(leaf) if isinstance(leaf, Tensor) else leaf

    return Batch(pytree.tree_map(mapped, batch.args), pytree.tree_map(mapped, dict(batch.kwargs)))


def _samples(batches: Batches) -> Iterator[Batch]:
    for batch in batches:
        count = batch.sample_count
        for i in range(count):
            leaves, spec = pytree.tree_flatten((batch.args, dict(batch.kwargs), batch.labels))
            cut = [x[i : i + 1] if isinstance(x, Tensor) and x.ndim and x.shape[0] == count else x for x in leaves]
            yield Batch(*pytree.tree_unflatten(cut, spec))


def _chunks(samples: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    chunk: list[Batch] = []
    for sample in samples:
        chunk.append(sample)
        if len(chunk) == size:
            yield chunk
            chunk = []


def _stacked(samples: list[Batch]) -> Batch:
    trees = [pytree.tree_flatten((s.args, dict(s.kwargs), s.labels)) for s in samples]
    columns = zip(*(leaves for leaves, _ in trees), strict=True)
    merged = [torch.cat(list(c)) if isinstance(c[0], Tensor) and c[0].ndim else c[0] for c in columns]
    return Batch(*pytree.tree_unflatten(merged, trees[0][1]))
