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

from qdiag.errors import DataError
from qdiag.loaders.data.arrays import array_data
from qdiag.loaders.data.samples import Reader, Reading, StoredData

_PICKLE = 0x80
_PROTOCOLS = range(2, 6)
_HINT = "save a tensor, a pair (inputs, labels) or a dictionary of tensors with torch.save"


def matches(path: Path) -> bool:
    """A zip file with a `data.pkl` member, or a bare pickle (torch before 1.6)."""
    if not path.is_file():
        return False
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    with path.open("rb") as file:
        start = file.read(2)
    return len(start) == 2 and start[0] == _PICKLE and start[1] in _PROTOCOLS


def read(path: Path, reading: Reading) -> StoredData:
    """The tensors of a file; nothing else in it is unpickled.

    Raises:
        DataError: a damaged file, objects other than tensors, or tensors that cannot be used.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols: a file that cannot be read fails below
            # Mapped into memory where the file format allows it.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        # torch's own message advises to turn the check off
        raise DataError("it is damaged, or holds objects other than tensors", at=str(path), hint=_HINT) from error
    except Exception as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"no tensors can be read from it: {first_line}", at=str(path), hint=_HINT) from error
    return array_data(_arrays(content, path), str(path), reading)


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
    """The same memory as a numpy array; bfloat16, which numpy does not know, as float32."""
    tensor = tensor.detach()
    array: NDArray[Any] = np.asarray(tensor.float() if tensor.dtype == torch.bfloat16 else tensor)
    return array


READER = Reader(".pt tensors", matches, read)
