"""`.pt`: a tensor, a (inputs, labels) pair or a dictionary of tensors, as `torch.save` writes them."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from qdiag.errors import DataError, LoadError
from qdiag.loaders.archive import check_sums, zip_names
from qdiag.loaders.data.arrays import array_data, holds_labels
from qdiag.loaders.data.samples import Reader, Reading, StoredData
from qdiag.loaders.probe import probe

_PICKLE = 0x80
_PROTOCOLS = range(2, 6)
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_VIEW_FACTOR_MAX = 100
"""How often an expanded view may repeat what is stored; smaller ones than `_VIEW_BYTES_MIN` may do so at will."""
_VIEW_BYTES_MIN = 64 << 20
_DEPTH_MAX = 16
"""Of lists and dictionaries among targets."""
_HINT = "save a tensor, a pair (inputs, targets) or a dictionary of tensors with torch.save"


def matches(path: Path) -> bool:
    """A zip file with a `data.pkl` member, or a bare pickle (torch before 1.6)."""
    if not path.is_file():
        return False
    names = zip_names(path)
    if names:
        return any(name.endswith("data.pkl") for name in names)
    with path.open("rb") as file:
        start = file.read(2)
    return len(start) == 2 and start[0] == _PICKLE and start[1] in _PROTOCOLS


def read(path: Path, reading: Reading) -> StoredData:
    """The tensors of a file, and the lists, numbers and texts among its targets; nothing else in it is unpickled.

    Raises:
        DataError: a damaged file, objects other than these, or tensors that cannot be used.
    """
    try:
        if zipfile.is_zipfile(path):
            check_sums(path)
        probe(lambda: _load(path), byte_count=path.stat().st_size, at=str(path), error=DataError)
        content = _load(path)
    except DataError:
        raise
    except LoadError as error:
        raise DataError(error.message, at=error.at, hint=error.hint) from error
    except pickle.UnpicklingError as error:
        # torch's own message advises to turn the check off
        raise DataError("it is damaged, or holds objects other than tensors", at=str(path), hint=_HINT) from error
    except Exception as error:
        raise DataError("no tensors can be read from it", at=str(path), hint=_HINT) from error
    try:
        arrays = _arrays(content, path)
    except DataError as error:
        raise DataError(error.message, at=str(path), hint=error.hint) from error
    return array_data(arrays, str(path), reading)


def _load(path: Path) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pickle protocols: a file that cannot be read fails anyway
        # Mapped into memory where the file format allows it.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def _arrays(content: object, path: Path) -> dict[str, Any]:
    if isinstance(content, Tensor):
        return {"inputs": to_array(content)}
    if isinstance(content, (tuple, list)) and len(content) == 2 and isinstance(content[0], Tensor):
        return {"inputs": to_array(content[0]), "labels": _targets(content[1], path)}
    if isinstance(content, Mapping):
        arrays = {str(name): to_array(value) for name, value in content.items() if isinstance(value, Tensor)}
        if arrays:
            trees = {str(name): value for name, value in content.items() if isinstance(value, (list, tuple, Mapping))}
            return arrays | {name: _targets(tree, path) for name, tree in trees.items() if holds_labels(name)}
    raise DataError(f"it holds a {type(content).__name__}, no tensors", at=str(path), hint=_HINT)


def _targets(value: object, path: Path) -> Any:
    """Targets as they are stored; one tensor as an array.

    Raises:
        DataError: a tensor that is no array of numbers; or a tree whose branches stand for each other, so that going
            through it would take longer than the file is long.
    """
    if isinstance(value, Tensor):
        return to_array(value)
    _check_size(value, path.stat().st_size)
    return _with_plain_tensors(value)


def _check_size(tree: object, visits_max: int) -> None:
    """Every entry of a list takes a byte in the file at least, unless a list is stored once and named again."""
    left, held = visits_max, [(tree, 0)]
    while held:
        branch, depth = held.pop()
        parts = list(branch.values()) if isinstance(branch, Mapping) else branch
        if not isinstance(parts, (list, tuple)):
            continue
        left -= len(parts) + 1
        if left < 0 or depth > _DEPTH_MAX:
            raise DataError("its targets repeat themselves, or are nested too deeply", hint=_HINT)
        held.extend((part, depth + 1) for part in parts)


def _with_plain_tensors(tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return torch.from_numpy(to_array(tree))
    if isinstance(tree, Mapping):
        return {str(name): _with_plain_tensors(branch) for name, branch in tree.items()}
    if isinstance(tree, (list, tuple)):
        return (list if isinstance(tree, list) else tuple)(_with_plain_tensors(branch) for branch in tree)
    return tree


def to_array(tensor: Tensor) -> NDArray[Any]:
    """The same memory as a numpy array; bfloat16, which numpy does not know, as float32.

    Raises:
        DataError: a kind of tensor that is no array of numbers, or a view that repeats little memory very often.
    """
    kind = _unusable(tensor)
    if kind is not None:
        raise DataError(f"it holds a tensor {kind}", hint=_HINT)
    tensor = tensor.detach()
    array: NDArray[Any] = np.asarray(tensor.float() if tensor.dtype == torch.bfloat16 else tensor)
    return array


def _unusable(tensor: Tensor) -> str | None:
    """Why no array can be made of it, in words that follow "a tensor"."""
    if tensor.is_nested:
        return "of nested tensors"
    if tensor.layout != torch.strided:
        return f"in the layout {str(tensor.layout).removeprefix('torch.')}"
    if tensor.is_meta:
        return "without values (on the device meta)"
    if tensor.is_quantized or (tensor.is_floating_point() and tensor.dtype not in _FLOATS):
        return f"of the type {str(tensor.dtype).removeprefix('torch.')}"
    stored = tensor.untyped_storage().nbytes()
    whole = tensor.numel() * tensor.element_size()
    if whole > _VIEW_BYTES_MIN and whole > stored * _VIEW_FACTOR_MAX:
        return (
            f"of shape {tuple(tensor.shape)} over {stored} stored bytes, which repeats them more than "
            f"{_VIEW_FACTOR_MAX} times"
        )
    return None


READER = Reader(".pt tensors", matches, read)
