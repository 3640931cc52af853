"""`.npy`: one numpy array, mapped into memory rather than read at once."""

from pathlib import Path

import numpy as np

from qdiag.errors import DataError
from qdiag.files.refusal import refusal
from qdiag.loaders.data.arrays import array_data
from qdiag.loaders.data.samples import Reader, Reading, StoredData

_MAGIC = b"\x93NUMPY"
_MAPPED_BYTES_MIN = 1 << 20


def matches(path: Path) -> bool:
    """A file that starts with numpy's magic string."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def unreadable(error: Exception) -> str:
    """Why numpy does not read a file."""
    if isinstance(error, DataError):
        return error.message
    if isinstance(error, OSError):
        return refusal(error)
    is_object = "pickle" in str(error) or "Object arrays" in str(error)
    return "it holds Python objects, which are not loaded" if is_object else "it is damaged or cut short"


def read(path: Path, reading: Reading) -> StoredData:
    """The array as unlabelled inputs.

    Raises:
        DataError: a damaged file, or an array that cannot be an input.
    """
    try:
        array = np.load(path, mmap_mode="c" if path.stat().st_size > _MAPPED_BYTES_MIN else None, allow_pickle=False)
    except Exception as error:  # the header is Python text, and each step of reading it has its own
        raise DataError(
            f"the .npy file cannot be read: {unreadable(error)}", at=str(path), hint="write it again"
        ) from error
    return array_data({"inputs": array}, str(path), reading)


READER = Reader(".npy array", matches, read)
