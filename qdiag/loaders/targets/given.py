"""What users hand over as targets, in the forms of `qdiag.targets`."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qdiag.core.listed import count_noun
from qdiag.errors import DataError
from qdiag.loaders.data.checks import class_labels

LABEL_NAMES = ("labels", "targets", "y", "Y")
_HINT = "targets are a tensor, a list with one entry per sample, or a dictionary or tuple of these"
_PLAIN = (str, bool, int, float, type(None))
_DEPTH_MAX = 32


def as_targets(
    value: object, count: int, at: str, *, keeps_floats: bool = False, branch_count: int | None = None
) -> Any:
    """Targets of `count` samples.

    A tensor, an array and a list of plain numbers are one tensor, where whole numbers in one column are class numbers
    (N,) int64. A dictionary or a tuple holds branches; another list has one entry per sample. Two forms that are
    common are taken as well: a tuple of dictionaries or texts, one per sample, and a list of as many tensors of all
    samples as a sample has targets.

    Args:
        at: where they come from. keeps_floats: floats stay floats even where all are whole numbers.
        branch_count: targets that a sample has by the first batch; it tells the two forms of a list apart where a batch
            has as many samples.

    Raises:
        DataError: values of other types, or boxes and labels that do not fit together, naming the sample.
    """
    if value is None:
        return None
    if isinstance(value, (bool, int, float)):
        value = torch.as_tensor(value)
    found = _as_tensor(value, at)
    if found is None and isinstance(value, list) and len(value) == branch_count:
        value = tuple(value) if all(_counts(part, count) for part in value) else value
    if found is None:
        return _branches(value, count, at)
    if not isinstance(found, Tensor):
        return found
    found = found if found.ndim else found[None]
    return found if keeps_floats and found.is_floating_point() else class_labels(found, at=at)


def targets_of_batch(value: object, at: str) -> Any:
    """Targets that a `Batch` holds: they have one of the forms already, and only the entries of lists are read.

    Raises:
        DataError: as `as_targets`.
    """
    if value is None or isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):
        return {str(name): targets_of_batch(branch, at) for name, branch in value.items()}
    if isinstance(value, tuple):
        return tuple(targets_of_batch(branch, at) for branch in value)
    found = _as_tensor(value, at)
    return _entries(value, at) if found is None else found


def sample_targets(entry: object, at: str) -> Any:
    """The targets of one sample: arrays and lists of numbers become tensors; boxes and their labels are compared.

    Raises:
        DataError: boxes and labels that do not fit together, or an object that is neither number, text nor tensor.
    """
    return _entry(entry, at, 0)


def _branches(value: object, count: int, at: str) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _branch(branch, count, at) for name, branch in value.items()}
    if isinstance(value, tuple) and not _is_per_sample(value, count):
        return tuple(_branch(branch, count, at) for branch in value)
    if isinstance(value, list) and len(value) != count and all(_counts(part, count) for part in value):
        return tuple(_branch(branch, count, at) for branch in value)
    return _entries(value, at)


def _entries(value: object, at: str) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise DataError(f"there are labels of type {type(value).__name__}", at=at, hint=_HINT)
    found = [sample_targets(entry, f"{at}, targets of sample {index}") for index, entry in enumerate(value)]
    if not any(isinstance(entry, Tensor) for entry in found):
        return found
    # beside lists of numbers, which are tensors now, an empty list is one of no numbers
    return [torch.zeros(0) if _is_empty(entry) else entry for entry in found]


def _branch(value: object, count: int, at: str) -> Any:
    found = _as_tensor(value, at)
    return _branches(value, count, at) if found is None else found


def _is_per_sample(value: tuple[object, ...], count: int) -> bool:
    """A tuple that `tuple(zip(*samples))` makes: one entry per sample, and no tensors of all samples."""
    return len(value) == count and not all(_counts(part, count) for part in value)


def _counts(part: object, count: int) -> bool:
    return isinstance(part, (Tensor, np.ndarray)) and part.ndim > 0 and part.shape[0] == count


def _as_tensor(value: object, at: str) -> Any:
    """One tensor, or texts, where the value is an array or a list of numbers; None where it is something else."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        return _of_array(value, at)
    if isinstance(value, (list, tuple)) and value and all(_is_number(leaf) for leaf in value):
        try:
            return torch.as_tensor(value)
        except (TypeError, ValueError, RuntimeError):
            return None
    return None


def _is_number(leaf: object) -> bool:
    """A number, a tensor or an array of one, or a list of numbers."""
    if isinstance(leaf, (Tensor, np.ndarray)):
        return leaf.ndim == 0 or (tuple(leaf.shape) == (1,) and not _is_float(leaf))
    if isinstance(leaf, (list, tuple)):
        return bool(leaf) and all(_is_number(inner) for inner in leaf)
    return isinstance(leaf, (bool, int, float, np.generic)) and not isinstance(leaf, str)


def _is_float(x: Any) -> bool:
    return x.is_floating_point() if isinstance(x, Tensor) else x.dtype.kind == "f"


def _of_array(value: np.ndarray[Any, Any], at: str) -> Any:
    if value.dtype.kind in "SU" and value.ndim == 1:
        return texts_of(value, at)
    try:
        return torch.from_numpy(np.ascontiguousarray(value)) if value.ndim else torch.as_tensor(value.item())
    except TypeError as error:
        raise DataError(f"there are labels of type {value.dtype}", at=at, hint=_HINT) from error


def texts_of(value: np.ndarray[Any, Any], at: str) -> list[str]:
    """An array of text as a list; bytes are read as UTF-8."""
    if value.dtype.kind == "U":
        numbers = np.ascontiguousarray(value, value.dtype.newbyteorder("=")).view(np.uint32)
        if bool((numbers > sys.maxunicode).any()):
            raise DataError("a text holds numbers that are no characters", at=at, hint="store texts as UTF-8")
        return [str(text) for text in value]
    try:
        return [bytes(text).decode() for text in value]
    except UnicodeDecodeError as error:
        raise DataError("a text is not UTF-8", at=at, hint="store texts as UTF-8") from error


def _entry(entry: object, at: str, depth: int) -> Any:
    if depth > _DEPTH_MAX:
        raise DataError("targets are nested too deeply", at=at, hint=_HINT)
    if isinstance(entry, (Tensor, *_PLAIN)):
        return entry
    if isinstance(entry, np.ndarray):
        return _of_array(entry, at)
    if isinstance(entry, np.generic):
        return entry.item()
    if isinstance(entry, Mapping):
        found = {str(name): _entry(value, at, depth + 1) for name, value in entry.items()}
        return _with_boxes(found, at) if "boxes" in found else found
    if isinstance(entry, (list, tuple)):
        numbers = _as_tensor(entry, at)
        return numbers if numbers is not None else _type_of(entry)(_entry(part, at, depth + 1) for part in entry)
    raise DataError(f"there is an object of type {type(entry).__name__} among the targets", at=at, hint=_HINT)


def _is_empty(entry: object) -> bool:
    return isinstance(entry, list) and not entry


def _type_of(entry: Sequence[object]) -> type[list[Any]] | type[tuple[Any, ...]]:
    """List for lists, tuple for tuples, named ones among them."""
    return list if isinstance(entry, list) else tuple


def _with_boxes(entry: dict[str, Any], at: str) -> dict[str, Any]:
    """Boxes as float (M, 4) also where there are none, and as many labels."""
    boxes, labels = (torch.zeros(0) if _is_empty(entry.get(name)) else entry.get(name) for name in ("boxes", "labels"))
    if isinstance(boxes, Tensor):
        boxes = boxes.reshape(0, 4) if boxes.numel() == 0 and boxes.ndim < 2 else boxes
        entry["boxes"] = boxes if boxes.is_floating_point() else boxes.float()
    if isinstance(labels, Tensor) and labels.numel() == 0 and labels.is_floating_point():
        labels = entry["labels"] = labels.long()
    if isinstance(boxes, Tensor) and isinstance(labels, Tensor) and labels.ndim and len(labels) != len(boxes):
        words = f"there {'is' if len(labels) == 1 else 'are'} {count_noun(len(labels), 'label')} for {len(boxes)} boxes"
        raise DataError(words, at=at, hint="give one label per box")
    return entry
