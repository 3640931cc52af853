"""Batches as the network under examination gets to see them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, Batches, ChangedBatches, Datasets, not_accepted
from qdiag.capture.state import restored
from qdiag.errors import DataError, LoadError, TargetError
from qdiag.pipeline.preparation.fixed_batches import in_batches_of, static_batch
from qdiag.pipeline.preparation.original import own_copy
from qdiag.pipeline.preparation.signature import takes_one_mapping
from qdiag.subject import Subject, evaluating


def inputs_for(subject: Subject, datasets: Datasets, quantized: Subject | None = None) -> Datasets:
    """Data for the subject: what reaches a submodule, or batches of the one size that a saved program accepts.

    Args:
        quantized: a file that was made from it; where it takes one size alone, and the subject any, that is the size.

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
        return replace(
            datasets,
            calibration=_SubmoduleBatches(datasets.calibration, parent, model, subject.submodule or ""),
            evaluation=_SubmoduleBatches(datasets.evaluation, parent, model, subject.submodule or ""),
        )
    size = static_batch(subject.model)
    return in_batches_of(datasets, static_batch(quantized.model) if size is None and quantized is not None else size)


def _as_one_mapping(subject: Subject, datasets: Datasets) -> Datasets:
    """Named arrays as one dictionary, for a network whose forward takes just that."""
    example = first_batch(datasets.calibration)
    if example.args or not example.kwargs or not takes_one_mapping(subject.parent or subject.model, example):
        return datasets
    return replace(
        datasets, calibration=_MappingBatches(datasets.calibration), evaluation=_MappingBatches(datasets.evaluation)
    )


@dataclass(frozen=True)
class _MappingBatches(ChangedBatches):
    """The named inputs of each batch as one dictionary, by position."""

    def changed(self, batch: Batch) -> Batch:
        """With one argument."""
        return Batch((dict(batch.kwargs),), labels=batch.labels)


@dataclass(frozen=True)
class _SubmoduleBatches(ChangedBatches):
    """Runs the whole float network and captures what reaches one submodule at its first call."""

    parent: nn.Module
    model: nn.Module
    path: str

    @property
    def is_labelled(self) -> bool:
        return False

    @property
    def is_reproducible(self) -> bool:
        return False

    def changed(self, batch: Batch) -> Batch:
        """What reaches the submodule."""
        seen: list[Batch] = []

        def look(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            del module
            if not seen:
                seen.append(Batch(*pytree.tree_map(_copied, (args, kwargs))))

        handle = self.model.register_forward_pre_hook(look, with_kwargs=True)
        own = own_copy(batch)
        try:
            with evaluating(self.parent), restored(self.parent), torch.no_grad():
                self.parent(*own.args, **own.kwargs)
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
    except TargetError as error:
        error.at = error.at or _place(batches, error.sample)
        raise
    except DataError as error:
        error.at = error.at or ("`input_shape`" if batches.is_data_free else batches.source)
        raise


def _place(batches: Batches, position: int) -> str:
    """Of one sample: its own file, or the source and what it is called there."""
    name, source = batches.name(position), batches.source
    return name if name.startswith(source.partition(" (")[0]) else f"{source}, {name}"


def _copied(leaf: Any) -> Any:
    return leaf.detach().clone() if isinstance(leaf, Tensor) else leaf


def first_batch(batches: Batches) -> Batch:
    """The first batch.

    Raises:
        DataError: there is none.
    """
    for batch in batches:
        return batch
    raise DataError("there are no samples", at=batches.source, hint="give at least one image")
