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

from qdiag.errors import DataError, first_line
from qdiag.loaders.archive import zip_names
from qdiag.loaders.data.arrays import array_data
from qdiag.loaders.data.samples import Reader, Reading, StoredData
from qdiag.loaders.probe import probe

_PICKLE = 0x80
_PROTOCOLS = range(2, 6)
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_VIEW_FACTOR_MAX = 100
"""How often an expanded view may repeat what is stored; smaller ones than `_VIEW_BYTES_MIN` may do so at will."""
_VIEW_BYTES_MIN = 64 << 20
_HINT = "save a tensor, a pair (inputs, labels) or a dictionary of tensors with torch.save"


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
    """The tensors of a file; nothing else in it is unpickled.

    Raises:
        DataError: a damaged file, objects other than tensors, or tensors that cannot be used.
    """
    try:
        probe(lambda: _load(path), byte_count=path.stat().st_size, at=str(path), error=DataError)
        content = _load(path)
    except DataError:
        raise
    except pickle.UnpicklingError as error:
        # torch's own message advises to turn the check off
        raise DataError("it is damaged, or holds objects other than tensors", at=str(path), hint=_HINT) from error
    except Exception as error:
        reason = first_line(error, with_type=False)
        raise DataError(f"no tensors can be read from it: {reason}", at=str(path), hint=_HINT) from error
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


def _arrays(content: object, path: Path) -> dict[str, NDArray[Any]]:
    if isinstance(content, Tensor):
        return {"inputs": to_array(content)}
    if isinstance(content, (tuple, list)) and len(content) == 2 and all(isinstance(part, Tensor) for part in content):
        return {"inputs": to_array(content[0]), "labels": to_array(content[1])}
    if isinstance(content, Mapping):
        arrays = {str(name): to_array(value) for name, value in content.items() if isinstance(value, Tensor)}
        if arrays:
            return arrays
    raise DataError(f"it holds a {type(content).__name__}, no tensors", at=str(path), hint=_HINT)


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
