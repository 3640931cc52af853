"""Targets among named arrays: one array, one array for every branch, or arrays of all entries with their counts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qdiag.core.listed import count_noun
from qdiag.errors import DataError
from qdiag.loaders.data.checks import class_labels
from qdiag.loaders.targets.given import LABEL_NAMES, as_targets, sample_targets, texts_of

COUNTS = "counts"
"""`targets.counts` says how many rows of `targets.boxes` and its like belong to each sample."""


def label_root(name: str) -> str | None:
    """The label name that an array belongs to: `targets` of `targets` and of `targets.mask`; None of an input."""
    root = name.partition(".")[0]
    return root if root in LABEL_NAMES else None


def array_targets(values: Mapping[str, Any], prefix: str, count: int) -> Any:
    """Targets of `count` samples from all values that `label_root` knows; None where there are none.

    Args:
        values: arrays, or what a file holds in their place: lists and dictionaries of tensors, numbers and texts.
        prefix: before their names in the file, for messages.

    Raises:
        DataError: two that could be the labels, a type that holds none, or counts that do not fit.
    """
    roots = sorted({label_root(name) or "" for name in values}, key=LABEL_NAMES.index)
    if not values:
        return None
    if len(roots) > 1 or (roots[0] in values and len(values) > 1):
        both = roots if len(roots) > 1 else sorted(values)
        raise DataError(f"both {' and '.join(both)} could be the labels", hint="keep one of them")
    (root,) = roots
    if root in values:
        return _whole(prefix + root, values[root], count)
    branches = {name.removeprefix(f"{root}."): _array(prefix + name, value, count) for name, value in values.items()}
    if COUNTS in branches:
        return _divided(branches, f"{prefix}{root}", count)
    return branches


def _whole(name: str, value: Any, count: int) -> Any:
    found = _array(name, value, count)
    return class_labels(found) if isinstance(found, Tensor) else found


def _array(name: str, value: Any, count: int) -> Any:
    if not isinstance(value, np.ndarray):
        return as_targets(value, count, name)
    if value.dtype.kind in "SU" and value.ndim == 1:
        return texts_of(value, name)
    if value.dtype.kind not in "fiub" or value.ndim == 0:
        raise DataError(
            f"array {name} of type {value.dtype} holds no labels", hint="store numbers, or an array of texts (N,)"
        )
    is_wide = value.dtype.kind == "u" and (value.dtype != np.uint8 or value.ndim == 1)  # masks stay small
    if value.dtype == np.uint64 and bool((value >> np.uint64(63)).any()):
        raise DataError(
            f"array {name} holds {value.max()}, which is larger than a class number can be", hint="labels count from 0"
        )
    wide = np.int64 if is_wide else value.dtype.newbyteorder("=")
    return torch.from_numpy(np.array(value, dtype=wide))


def _divided(branches: Mapping[str, Any], root: str, count: int) -> list[Any]:
    """The next `counts[i]` rows of every array are those of sample i."""
    counts = branches[COUNTS]
    if not isinstance(counts, Tensor) or counts.ndim != 1 or counts.is_floating_point() or bool((counts < 0).any()):
        raise DataError(f"array {root}.{COUNTS} holds no counts", hint="store whole numbers from 0, one per sample")
    if len(counts) != count:
        words = f"{root}.{COUNTS} has {count_noun(len(counts), 'count')} for {count_noun(count, 'sample')}"
        raise DataError(words, hint="give one per sample")
    sizes = counts.tolist()
    parts: dict[str, list[Any]] = {}
    for name, rows in branches.items():
        if name == COUNTS:
            continue
        if len(rows) != sum(sizes):
            raise DataError(
                f"{root}.{name} has {count_noun(len(rows), 'row')}, but {root}.{COUNTS} adds up to {sum(sizes)}",
                hint="store the rows of all samples one after another",
            )
        ends = np.cumsum(sizes).tolist()
        parts[name] = [rows[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    return [
        sample_targets({name: rows[index] for name, rows in parts.items()}, f"{root}, sample {index}")
        for index in range(count)
    ]
