"""Python objects as data: tensors, data sets, data loaders, lists of batches, functions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from qdiag.batches import Batch
from qdiag.errors import DataError
from qdiag.files.code_failure import code_failure
from qdiag.loaders.data.arrays import ArraySamples
from qdiag.loaders.data.batch import as_batch
from qdiag.loaders.data.checks import check_finite, check_label_count, numbered
from qdiag.loaders.data.input_array import open_input
from qdiag.loaders.data.samples import Hash, Reading, SampleSet
from qdiag.loaders.data.stream import ALONE, survey
from qdiag.loaders.targets.collate import collated, has_float_labels
from qdiag.loaders.targets.given import as_targets
from qdiag.numerics.tensor_bytes import tensor_bytes
from qdiag.targets import target_bytes, target_rows


@dataclass(frozen=True)
class DatasetSamples:
    """The samples of a map-style `torch.utils.data.Dataset`, collated as a `DataLoader` would.

    Attributes:
        labels: beside the data set; known beforehand for tensors only.
        keeps_floats: labels are floats that are no whole numbers, so that no batch of them is read as classes.
    """

    source: str
    dataset: Dataset[Any]
    sample_count: int
    is_labelled: bool
    labels: Any = None
    keeps_floats: bool = False

    @property
    def own_batch_size(self) -> int | None:
        return None

    @property
    def preprocessing(self) -> str:
        return "values as the samples hold them"

    def name(self, index: int) -> str:
        return f"sample {index}"

    def batches(self, indices: Sequence[int], batch_size: int) -> Iterator[Batch]:
        for start in range(0, len(indices), batch_size):
            chunk = indices[start : start + batch_size]
            batch = self._load(chunk)
            check_finite(batch, at=self.source, name=numbered("sample ", chunk))
            yield batch

    def _load(self, indices: Sequence[int]) -> Batch:
        at = f"{self.source}, samples {indices[0]} to {indices[-1]}"
        try:
            item = collated([self.dataset[index] for index in indices])
        except DataError as error:
            raise DataError(error.message, at=at, hint=error.hint) from error
        except Exception as error:
            raise DataError(f"reading samples failed: {code_failure(error)}", at=at, hint=ALONE) from error
        batch = as_batch(item, at, keeps_floats=self.keeps_floats)
        return batch if self.labels is None else replace(batch, labels=target_rows(self.labels, indices))

    def update_digest(self, digest: Hash, indices: Sequence[int]) -> None:
        stored = _only_tensor(self.dataset)
        for index in indices:
            if stored is None:
                batch = self._load([index])
                tensors, labels = batch.tensors, batch.labels
            else:  # what the lines above give, without a batch made of each row
                labels = None if self.labels is None else target_rows(self.labels, [index])
                tensors = [stored[index : index + 1]]
            for tensor in tensors:
                digest.update(f"{tensor.dtype} {tuple(tensor.shape)}\n".encode())
                digest.update(tensor_bytes(tensor).numpy().tobytes())
            if labels is not None:
                for part in target_bytes(labels):
                    digest.update(part)


def _only_tensor(dataset: Dataset[Any]) -> Tensor | None:
    """The inputs that a data set holds as one tensor, and nothing beside them."""
    plain = isinstance(dataset, TensorDataset) and type(dataset).__getitem__ is TensorDataset.__getitem__
    return dataset.tensors[0] if isinstance(dataset, TensorDataset) and plain and len(dataset.tensors) == 1 else None


def samples_of(data: object, source: str | None = None) -> SampleSet:
    """Samples from a Python object.

    Args:
        data: a tensor (N, ...); a pair (tensor, targets), see `qdiag.targets`; a map-style Dataset of samples; or
            batches: a list, a DataLoader, anything that can be iterated again and again, or a function that returns a
            fresh iterable. A batch is a tensor, a pair (inputs, targets), a dictionary of inputs by name, or a `Batch`.
        source: what to call it.

    Raises:
        DataError: a generator (it could be gone through only once), or samples that cannot be used.
    """
    source = source or type(data).__name__
    if isinstance(data, (Tensor, np.ndarray)):
        return _tensor_samples(torch.as_tensor(data), None, source)
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[0], (Tensor, np.ndarray)):
        return _tensor_samples(torch.as_tensor(data[0]), data[1], source)
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        return _dataset_samples(data, source)
    if isinstance(data, IterableDataset):
        raise DataError("an IterableDataset yields samples one by one", at=source, hint="wrap it in a DataLoader")
    if isinstance(data, Iterable):
        _check_iterates_again(data, source)
        return survey(lambda: data, source)
    if callable(data):
        return _factory_samples(cast("Callable[[], object]", data), source)
    raise DataError(
        f"an object of type {type(data).__name__} holds no data",
        at=source,
        hint="give a tensor, a DataLoader or a list of batches",
    )


def _tensor_samples(inputs: Tensor, labels: object, source: str) -> SampleSet:
    if inputs.ndim == 0 or inputs.numel() == 0:
        raise DataError(f"a tensor of shape {tuple(inputs.shape)} holds no samples", at=source, hint="give (N, ...)")
    if inputs.dtype == torch.uint8 and inputs.ndim in (3, 4):
        return _pixel_samples(inputs, labels, source)
    if labels is None:
        return DatasetSamples(source, TensorDataset(inputs), len(inputs), False)
    targets = as_targets(labels, len(inputs), source)
    check_label_count(targets, len(inputs), at=source)
    return DatasetSamples(source, TensorDataset(inputs), len(inputs), True, targets)


def _pixel_samples(inputs: Tensor, labels: object, source: str) -> ArraySamples:
    """8-bit images, prepared as those of a file are: divided by 255, their channels found by the shape."""
    try:
        array = open_input("inputs", inputs.cpu().numpy(), Reading())
    except DataError as error:
        error.at = error.at or source
        raise
    targets = as_targets(labels, len(inputs), source) if labels is not None else None
    if targets is not None:
        check_label_count(targets, len(inputs), at=source)
    return ArraySamples(source, (array,), is_positional=True, labels=targets)


def _dataset_samples(dataset: Dataset[Any], source: str) -> DatasetSamples:
    try:
        count = len(dataset)  # type: ignore[arg-type]
    except TypeError as error:
        raise DataError(
            "the Dataset has no length", at=source, hint="define __len__, or wrap it in a DataLoader"
        ) from error
    if count == 0:
        raise DataError("the Dataset is empty", at=source, hint="give at least one sample")
    found = DatasetSamples(source, dataset, count, False)
    first = next(found.batches([0], 1))
    try:
        keeps_floats = has_float_labels(dataset, count)
    except Exception as error:
        raise DataError(f"reading samples failed: {code_failure(error)}", at=source, hint=ALONE) from error
    return replace(found, is_labelled=first.labels is not None, keeps_floats=keeps_floats)


def _check_iterates_again(data: Iterable[object], source: str) -> None:
    if isinstance(data, Iterator):
        raise DataError(
            f"a {type(data).__name__} can be gone through only once, and calibration and measurement need a pass each",
            at=source,
            hint="give a list, a DataLoader, or the function that makes the generator",
        )


def _factory_samples(factory: Callable[[], object], source: str) -> SampleSet:
    """What a function returns is looked at once; a generator means that the function is called for every pass."""
    try:
        made = factory()
    except Exception as error:
        raise DataError(f"the factory failed: {code_failure(error)}", at=source, hint=ALONE) from error
    if isinstance(made, Iterable) and not isinstance(made, (Tensor, np.ndarray, tuple, Dataset)):
        return survey(cast("Callable[[], Iterable[object]]", factory), source)
    if callable(made):
        raise DataError("the factory returns another function", at=source, hint="return batches, or a Dataset")
    return samples_of(made, source)
