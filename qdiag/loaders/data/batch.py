"""What users hand over as a batch, as `Batch`; and batches cut and joined along the sample axis."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from qdiag.batches import Batch, sample_axis
from qdiag.errors import DataError
from qdiag.loaders.data.arrays import INPUT_NAMES
from qdiag.loaders.data.checks import check_label_count
from qdiag.loaders.targets.given import LABEL_NAMES, as_targets, targets_of_batch
from qdiag.targets import joined_targets, target_rows

_PLAIN = (bool, int, float, str)
"""Arguments that every call gets alike, such as a sampling rate."""
_HINT = "a batch is a tensor, a pair (inputs, labels), a dictionary of inputs by name, or a qdiag Batch"


def as_batch(item: object, at: str, *, keeps_floats: bool = False, branch_count: int | None = None) -> Batch:
    """A tensor is the first argument; a pair is (inputs, labels), where inputs may be a tuple of arguments or a
    dictionary; a dictionary holds arguments by name, labels apart.

    Args:
        keeps_floats, branch_count: see `as_targets`.

    Raises:
        DataError: anything else, no samples, or another number of labels than samples.
    """
    batch, labels = _batch(item, at)
    if not batch.tensors:
        raise DataError("there is a batch without tensors", at=at, hint=_HINT)
    if any(tensor.numel() == 0 for tensor in batch.tensors):
        raise DataError("there is a batch with an empty tensor", at=at, hint="give at least one sample per batch")
    if isinstance(item, Batch):
        targets = targets_of_batch(labels, at)
    else:
        count = batch.sample_count
        targets = as_targets(labels, count, at, keeps_floats=keeps_floats, branch_count=branch_count)
    try:
        check_label_count(targets, batch.sample_count, at=at)
    except DataError:
        if len(batch.args) > 1 and isinstance(labels, (list, tuple)) and len(labels) == len(batch.args):
            raise DataError(
                f"a tuple of {len(labels)} inputs holds arguments of one call, and there are {len(labels)} targets",
                at=at,
                hint="stack the inputs of all samples into one tensor, as torch.stack does",
            ) from None
        raise
    return Batch(batch.args, batch.kwargs, targets)


def _batch(item: object, at: str) -> tuple[Batch, object]:
    """The inputs, and the labels as they were given."""
    if isinstance(item, Batch):
        return Batch(item.args, item.kwargs), item.labels
    if isinstance(item, (Tensor, np.ndarray)):
        return Batch((_tensor(item, at),)), None
    if isinstance(item, Mapping):
        return _from_mapping(item, at)
    if isinstance(item, (tuple, list)) and len(item) == 1:
        return _batch(item[0], at)
    if isinstance(item, (tuple, list)) and len(item) == 2:
        inputs, labels = item
        if isinstance(inputs, tuple):
            return Batch(tuple(_tensor(part, at) for part in inputs)), labels
        inner, known = _batch(inputs, at)
        if known is not None:
            raise DataError("there are labels both among the inputs and beside them", at=at, hint="give them once")
        return inner, labels
    if isinstance(item, (tuple, list)):
        raise DataError(f"a {type(item).__name__} of {len(item)} is no batch", at=at, hint=_HINT)
    raise DataError(f"an object of type {type(item).__name__} is no batch", at=at, hint=_HINT)


def _from_mapping(item: Mapping[Any, object], at: str) -> tuple[Batch, object]:
    names = [str(name) for name in item if name in LABEL_NAMES]
    if len(names) > 1:
        raise DataError(f"both {' and '.join(names)} could be the labels", at=at, hint="keep one of them")
    labels = item[names[0]] if names else None
    has_tensors = any(isinstance(value, (Tensor, np.ndarray)) for name, value in item.items() if name not in names)
    inputs = {
        str(name): value if has_tensors and isinstance(value, _PLAIN) else _tensor(value, at)
        for name, value in item.items()
        if name not in names
    }
    if len(inputs) == 1 and next(iter(inputs)) in INPUT_NAMES:
        return Batch(tuple(inputs.values())), labels
    return Batch((), inputs), labels


def _tensor(value: object, at: str) -> Any:
    if isinstance(value, np.ndarray):
        try:
            return torch.from_numpy(np.ascontiguousarray(value))
        except TypeError as error:
            raise DataError(f"an array of type {value.dtype} is no input", at=at, hint="give numbers") from error
    if isinstance(value, Tensor) or any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(value)):
        return value
    raise DataError(f"an object of type {type(value).__name__} is no input", at=at, hint=_HINT)


def rows(batch: Batch, indices: Sequence[int]) -> Batch:
    """Some samples of a batch.

    Raises:
        DataError: a tensor whose first axis does not count samples.
    """
    if list(indices) == list(range(batch.sample_count)):
        return batch
    chosen = torch.as_tensor(indices)

    def cut(tensor: Tensor) -> Tensor:
        axis = sample_axis(tensor, batch.sample_count)
        if axis is None:
            raise DataError(
                f"a tensor of shape {tuple(tensor.shape)} in a batch of {batch.sample_count} cannot be divided",
                hint="give calibration and measurement data apart without a cap, or put the batch axis first",
            )
        return tensor.index_select(axis, chosen.to(tensor.device))

    args, kwargs = pytree.tree_map_only(Tensor, cut, (batch.args, dict(batch.kwargs)))
    return Batch(args, kwargs, target_rows(batch.labels, indices))


def joined(parts: Sequence[Batch]) -> Batch:
    """Batches of the same structure, one after another."""
    if len(parts) == 1:
        return parts[0]
    trees = [pytree.tree_flatten((part.args, dict(part.kwargs))) for part in parts]
    largest = max(range(len(parts)), key=lambda i: parts[i].sample_count)  # whose size other axes have least often
    axes = [sample_axis(x, parts[largest].sample_count) if isinstance(x, Tensor) else None for x in trees[largest][0]]
    leaves = [
        torch.cat(column, axis) if axis is not None else column[0]
        for column, axis in zip(zip(*(leaves for leaves, _ in trees), strict=True), axes, strict=True)
    ]
    args, kwargs = pytree.tree_unflatten(leaves, trees[0][1])
    return Batch(args, kwargs, joined_targets([part.labels for part in parts]))
