"""Batches as the network under examination gets to see them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, Batches, Datasets, not_accepted
from qdiag.errors import DataError, LoadError
from qdiag.pipeline.prepare import static_batch
from qdiag.pipeline.signature import takes_one_mapping
from qdiag.subject import Subject, evaluating


def inputs_for(subject: Subject, datasets: Datasets) -> Datasets:
    """Data for the subject: what reaches a submodule, or batches of the one size that a saved program accepts.

    Raises:
        LoadError: a submodule of a TorchScript file, which torch does not let us look into while it runs.
    """
    if isinstance(subject.parent, torch.jit.ScriptModule):
        raise LoadError(
            "torch does not show what reaches a part of a TorchScript file",
            at=f"{subject.source}: {subject.submodule}",
            hint="save that part alone, or give the nn.Module that the file was made from",
        )
    datasets = _as_one_mapping(subject, datasets)
    if subject.parent is not None and isinstance(subject.model, nn.Module):
        parent, model = subject.parent, subject.model
        return Datasets(
            _SubmoduleBatches(datasets.calibration, parent, model, subject.submodule or ""),
            _SubmoduleBatches(datasets.evaluation, parent, model, subject.submodule or ""),
            datasets.split,
        )
    size = static_batch(subject.model)
    if size is not None:
        return Datasets(
            _FixedBatches(datasets.calibration, size), _FixedBatches(datasets.evaluation, size), datasets.split
        )
    return datasets


@dataclass(frozen=True)
class _Wrapped:
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

    def digest(self) -> str:
        """That of the stored data."""
        return self.inner.digest()


def _as_one_mapping(subject: Subject, datasets: Datasets) -> Datasets:
    """Named arrays as one dictionary, for a network whose forward takes just that."""
    example = first_batch(datasets.calibration)
    if example.args or not example.kwargs or not takes_one_mapping(subject.parent or subject.model, example):
        return datasets
    return Datasets(_MappingBatches(datasets.calibration), _MappingBatches(datasets.evaluation), datasets.split)


@dataclass(frozen=True)
class _MappingBatches(_Wrapped):
    """The named inputs of each batch as one dictionary, by position."""

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.inner:
            yield Batch((dict(batch.kwargs),), labels=batch.labels)


@dataclass(frozen=True)
class _SubmoduleBatches(_Wrapped):
    """Runs the whole float network and captures what reaches one submodule at its first call."""

    parent: nn.Module
    model: nn.Module
    path: str

    @property
    def is_labelled(self) -> bool:
        return False

    def __iter__(self) -> Iterator[Batch]:
        for batch in self.inner:
            yield self._captured(batch)

    def _captured(self, batch: Batch) -> Batch:
        seen: list[Batch] = []

        def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            del module
            if not seen:
                seen.append(Batch(*pytree.tree_map(_copied, (args, kwargs))))

        handle = self.model.register_forward_pre_hook(look, with_kwargs=True)
        try:
            with evaluating(self.parent), torch.no_grad():
                self.parent(*batch.args, **batch.kwargs)
        except Exception as error:
            raise not_accepted(batch, error) from error
        finally:
            handle.remove()
        if not seen:
            raise LoadError("the network never calls this submodule", at=self.path, hint="choose one that it runs")
        return seen[0]


@contextmanager
def naming(batches: Batches) -> Iterator[None]:
    """Inside, an error about the data names the file or factory that it came from, unless it names a place already."""
    try:
        yield
    except DataError as error:
        error.at = error.at or ("--input-shape" if batches.is_data_free else batches.source)
        raise


def _copied(leaf: Any) -> Any:
    return leaf.detach().clone() if isinstance(leaf, Tensor) else leaf


@dataclass(frozen=True)
class _FixedBatches(_Wrapped):
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
                f"{self.inner.sample_count} samples, but the saved program takes batches of exactly {self.size}",
                hint="give more samples, or export with a dynamic batch axis",
            )
        for sample in _chunks(_samples(self.inner), self.size):
            yield _stacked(sample)


def _samples(batches: Batches) -> Iterator[Batch]:
    for batch in batches:
        for i in range(batch.sample_count):
            leaves, spec = pytree.tree_flatten((batch.args, dict(batch.kwargs), batch.labels))
            cut = [x[i : i + 1] if isinstance(x, Tensor) and x.ndim else x for x in leaves]
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
    merged = [torch.cat(list(c)) if isinstance(c[0], Tensor) else c[0] for c in columns]
    return Batch(*pytree.tree_unflatten(merged, trees[0][1]))


def first_batch(batches: Batches) -> Batch:
    """The first batch.

    Raises:
        DataError: there is none.
    """
    for batch in batches:
        return batch
    raise DataError("there are no samples", at=batches.source, hint="give at least one image")
