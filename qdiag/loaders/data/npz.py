"""`.npz`: a zip of numpy arrays."""

import zipfile
from pathlib import Path

import numpy as np

from qdiag.errors import DataError
from qdiag.loaders.data.arrays import array_data
from qdiag.loaders.data.samples import Reader, Reading, StoredData

_UNPACKED_FACTOR_MAX, _UNPACKED_BYTES_MIN = 200, 1 << 30
"""What an archive may grow to: so many times its size, or so many bytes if that is more."""


def matches(path: Path) -> bool:
    """A zip file with `.npy` members."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith(".npy") for name in archive.namelist())


def read(path: Path, reading: Reading) -> StoredData:
    """The arrays of an archive; pickled objects are never loaded.

    Raises:
        DataError: a damaged archive, or arrays that cannot be used.
    """
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(_UNPACKED_BYTES_MIN, path.stat().st_size * _UNPACKED_FACTOR_MAX):
        raise DataError(
            f"it unpacks to {unpacked >> 20} MiB, more than {_UNPACKED_FACTOR_MAX} times its size",
            at=str(path),
            hint="save arrays of numbers with numpy.savez",
        )
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except Exception as error:  # zlib, zipfile and numpy each have their own
        raise DataError(
            f"the .npz archive cannot be read: {error}", at=str(path), hint="save arrays of numbers with numpy.savez"
        ) from error
    return array_data(arrays, str(path), reading)


READER = Reader(".npz archive", matches, read)
