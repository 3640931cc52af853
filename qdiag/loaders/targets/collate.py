"""Samples of a `Dataset` as a batch: inputs as a `DataLoader` does it, targets in the forms of `qdiag.targets`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from qdiag.errors import DataError
from qdiag.loaders.targets.given import LABEL_NAMES

_RAGGED_HINT = "give batches with a list of targets, one entry per sample, instead of a Dataset"


def collated(samples: Sequence[Any]) -> Any:
    """A batch of samples: pairs (input, targets), dictionaries with targets under a known name, or inputs alone.

    Raises:
        DataError: targets that cannot be put together. Whatever `default_collate` raises for inputs.
    """
    first = samples[0]
    if isinstance(first, (tuple, list)) and len(first) == 2:
        inputs = default_collate([sample[0] for sample in samples])
        arguments = tuple(inputs) if isinstance(first[0], tuple) else inputs
        return arguments, _targets([sample[1] for sample in samples])
    name = next((name for name in first if name in LABEL_NAMES), None) if isinstance(first, Mapping) else None
    if name is not None:
        rest = default_collate([{key: sample[key] for key in sample if key != name} for sample in samples])
        return {**rest, name: _targets([sample[name] for sample in samples])}
    return default_collate(list(samples))


def has_float_labels(dataset: Dataset[Any], count: int) -> bool:
    """Whether labels are single floats of which some are no whole numbers; the samples are gone through up to that one.

    Labels of other types are told by the first sample alone.
    """
    for index in range(count):
        label = _label(dataset[index])
        is_array = isinstance(label, (Tensor, np.ndarray))
        if not isinstance(label, float) and not (is_array and torch.as_tensor(label).is_floating_point()):
            return False
        value = torch.as_tensor(label)
        if value.numel() != 1 or value.ndim > 1:
            return False
        if float(value) != round(float(value)):
            return True
    return False


def _label(sample: Any) -> Any:
    if isinstance(sample, (tuple, list)) and len(sample) == 2:
        return sample[1]
    if isinstance(sample, Mapping):
        return next((sample[name] for name in sample if name in LABEL_NAMES), None)
    return None


def _are_numbers(entry: Sequence[Any]) -> bool:
    return all(isinstance(part, (bool, int, float)) for part in entry)


def _targets(entries: list[Any]) -> Any:
    """One target per sample as targets of all samples."""
    first = entries[0]
    if first is None or isinstance(first, str):
        return None if first is None else entries
    if isinstance(first, Mapping):
        if "boxes" in first:
            return entries
        return {name: _targets([entry[name] for entry in entries]) for name in first}
    if isinstance(first, tuple) and not _are_numbers(first):
        return tuple(_targets(list(column)) for column in zip(*entries, strict=True))
    if isinstance(first, list) and not all(entry and _are_numbers(entry) for entry in entries):
        return entries  # such as the annotations of an image
    try:
        return default_collate([torch.as_tensor(e) for e in entries] if isinstance(first, (tuple, list)) else entries)
    except (RuntimeError, ValueError) as error:
        shapes = sorted({str(tuple(np.shape(entry))) for entry in entries})
        raise DataError(f"there are targets of the shapes {' and '.join(shapes[:3])}", hint=_RAGGED_HINT) from error
