"""Named arrays as samples: which of them are inputs, which are labels, and for which set."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from qdiag.batches import Batch
from qdiag.errors import DataError
from qdiag.loaders.data.checks import check_finite, check_label_count, numbered
from qdiag.loaders.data.input_array import InputArray, open_input
from qdiag.loaders.data.samples import Hash, Reading, StoredData, read_ahead
from qdiag.loaders.images.geometry import moved_targets
from qdiag.loaders.targets.arrays import array_targets, label_root
from qdiag.loaders.targets.given import LABEL_NAMES
from qdiag.targets import target_bytes, target_rows

Arrays = Mapping[str, Any]
"""Arrays by name; under names of labels also lists, tuples and dictionaries of tensors, numbers and texts."""

INPUT_NAMES = ("images", "inputs", "x", "data", "X")
_CALIB, _EVAL = "calib_", "eval_"
_NAMES_HINT = (
    f"name the inputs {', '.join(INPUT_NAMES[:-1])} or {INPUT_NAMES[-1]} and the labels {', '.join(LABEL_NAMES[:-1])} "
    f"or {LABEL_NAMES[-1]}, or give the inputs the names of the network's own arguments"
)


@dataclass(frozen=True)
class ArraySamples:
    """Samples of arrays (N, ...).

    Attributes:
        inputs: one array is passed by position when `is_positional`; otherwise each by its name.
        labels: in a form of `qdiag.targets`; None without labels.
    """

    source: str
    inputs: tuple[InputArray, ...]
    is_positional: bool
    labels: Any

    @property
    def sample_count(self) -> int:
        return len(self.inputs[0].values)

    @property
    def is_labelled(self) -> bool:
        return self.labels is not None

    @property
    def own_batch_size(self) -> int | None:
        return None

    @property
    def preprocessing(self) -> str:
        if self.is_positional:
            return self.inputs[0].description
        return "; ".join(f"{array.name}: {array.description}" for array in self.inputs)

    def name(self, index: int) -> str:
        return f"{self.inputs[0].name}[{index}]"

    def batches(self, indices: Sequence[int], batch_size: int) -> Iterator[Batch]:
        return read_ahead(self._load, indices, batch_size)

    def _load(self, indices: Sequence[int]) -> Batch:
        labels, first = target_rows(self.labels, indices), self.inputs[0]
        try:
            tensors = {array.name: array.tensor(indices) for array in self.inputs}
            if first.preprocessing is not None and first.image_size is not None:
                labels = moved_targets(labels, *first.image_size, first.preprocessing)
        except DataError as error:
            raise DataError(error.message, at=self.source, hint=error.hint) from error
        for name, tensor in tensors.items():
            check_finite(Batch((tensor,)), at=self.source, name=numbered(f"{name}[", indices, "]"))
        check_finite(Batch((), labels=labels), at=self.source, name=numbered(f"{self.inputs[0].name}[", indices, "]"))
        if self.is_positional:
            return Batch(tuple(tensors.values()), labels=labels)
        return Batch((), tensors, labels)

    def update_digest(self, digest: Hash, indices: Sequence[int]) -> None:
        for array in self.inputs:
            digest.update(f"{array.name} {array.values.dtype.str} {array.values.shape[1:]}\n".encode())
            for index in indices:
                digest.update(np.ascontiguousarray(array.values[index]).tobytes())
        update_targets(digest, target_rows(self.labels, indices))


def update_targets(digest: Hash, targets: Any) -> None:
    """Adds targets to the digest of a file: of one tensor its values alone, as results that are stored have them."""
    if targets is None:
        return
    for part in (targets.numpy().tobytes(),) if isinstance(targets, Tensor) else target_bytes(targets):
        digest.update(part)


def holds_labels(name: str) -> bool:
    """An array of this name holds labels, of either part of a split."""
    prefix = next((prefix for prefix in (_CALIB, _EVAL) if name.startswith(prefix)), "")
    return label_root(name.removeprefix(prefix)) is not None


def array_data(arrays: Arrays, source: str, reading: Reading) -> StoredData:
    """Samples from named arrays; those called `calib_...` and `eval_...` (or without prefix) make a split.

    Raises:
        DataError: names, shapes or types from which no inputs can be made.
    """
    groups: dict[str, dict[str, Any]] = {"": {}, _CALIB: {}, _EVAL: {}}
    for name, array in arrays.items():
        prefix = next((prefix for prefix in (_CALIB, _EVAL) if name.startswith(prefix)), "")
        if not holds_labels(name) and array.dtype.kind in "SU":
            continue  # names of files or classes
        groups[prefix][name.removeprefix(prefix)] = array
    plain, calibration, evaluation = groups[""], groups[_CALIB], groups[_EVAL]
    if not calibration and not evaluation:
        return StoredData(_samples(plain, "", source, reading))
    if evaluation and _has_inputs(plain):
        known = f"{_EVAL}{next(iter(evaluation))} and {next(iter(plain))}"
        raise DataError(
            f"{known}: which are to be measured?",
            at=source,
            hint=f"name them {_CALIB}... and {_EVAL}..., or give two files",
        )
    prefix, measured = (_EVAL, evaluation) if evaluation else ("", plain)
    if not calibration or not measured:
        prefix, only = (_CALIB, calibration) if calibration else (_EVAL, evaluation)
        return StoredData(_samples(only, prefix, source, reading))
    return StoredData(
        _samples(measured, prefix, source, reading),
        _samples(calibration, _CALIB, source, reading),
        told_by=f"arrays named {_CALIB}... and {prefix}...",
    )


def _has_inputs(arrays: Arrays) -> bool:
    return any(name in INPUT_NAMES for name in arrays)


def _samples(arrays: Arrays, prefix: str, source: str, reading: Reading) -> ArraySamples:
    try:
        names, is_positional = _input_names(arrays)
        inputs = [_input(arrays, name, prefix, names, is_positional, reading) for name in names]
        stored = {name: array for name, array in arrays.items() if label_root(name) is not None}
        labels = array_targets(stored, prefix, len(inputs[0].values))
    except DataError as error:
        place = f"{source}, {error.at}" if error.at else source
        raise DataError(error.message, at=place, hint=error.hint) from error
    check_label_count(labels, len(inputs[0].values), at=source)
    used = [prefix + name for name in [*names, *stored]]
    unused = [prefix + name for name in arrays if prefix + name not in used]
    rest = f"; not used: {', '.join(unused)}" if unused else ""
    return ArraySamples(f"{source} ({', '.join(used)}{rest})", tuple(inputs), is_positional, labels)


def _input(
    arrays: Arrays, name: str, prefix: str, names: Sequence[str], is_positional: bool, reading: Reading
) -> InputArray:
    _check_shape(prefix + name, arrays[name])
    # Arguments by keyword keep the network's own names; an array by position is told by its full name in messages.
    shown = prefix + name if is_positional else name
    try:
        return open_input(shown, arrays[name], _for_input(name, names, reading, arrays))
    except DataError as error:
        raise DataError(f"array {prefix + name}: {error.message}", hint=error.hint) from error


def _for_input(name: str, names: Sequence[str], reading: Reading, arrays: Arrays) -> Reading:
    """With several inputs, `input_shape` is the first one's, and a preprocessing is for pixels (uint8) only."""
    if len(names) == 1:
        return reading
    preprocessing = reading.preprocessing if arrays[name].dtype == np.uint8 else None
    return Reading(preprocessing, reading.input_shape if name == names[0] else None)


def _input_names(arrays: Arrays) -> tuple[list[str], bool]:
    """The arrays that are inputs, and whether they are passed by position."""
    known = _only(INPUT_NAMES, arrays, "inputs")
    if known is not None:
        return [known], True
    others = [name for name in arrays if label_root(name) is None]
    if not others:
        raise DataError("no array holds inputs", hint=_NAMES_HINT)
    if len(others) == 1:
        return others, True
    counts = {array.shape[:1] for name, array in arrays.items() if name in others}
    if len(counts) != 1 or any(name.startswith("arr_") for name in others):
        raise DataError(f"cannot tell which array holds the inputs: {', '.join(sorted(arrays)[:8])}", hint=_NAMES_HINT)
    return others, False


def _only(known: Sequence[str], arrays: Arrays, what: str) -> str | None:
    found = [name for name in known if name in arrays]
    if len(found) > 1:
        raise DataError(f"both {' and '.join(found)} could be the {what}", hint="keep one of them")
    return found[0] if found else None


def _check_shape(name: str, array: NDArray[Any]) -> None:
    if array.ndim == 0:
        raise DataError(f"array {name} is a single number", hint="the first axis counts samples")
    if array.size == 0:
        raise DataError(f"array {name} has no values: shape {array.shape}", hint="give at least one sample")
