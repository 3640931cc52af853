"""`.npz`: a zip of numpy arrays."""

from pathlib import Path

import numpy as np

from qdiag.errors import DataError
from qdiag.loaders.archive import zip_names
from qdiag.loaders.data.arrays import array_data
from qdiag.loaders.data.npy import unreadable
from qdiag.loaders.data.samples import Reader, Reading, StoredData
from qdiag.loaders.images.encoded import encoded_data, holds_files


def matches(path: Path) -> bool:
    """A zip file with `.npy` members."""
    return path.is_file() and any(name.endswith(".npy") for name in zip_names(path))


def read(path: Path, reading: Reading) -> StoredData:
    """The arrays, or the JPEG files, of an archive; pickled objects are never loaded.

    Raises:
        DataError: a damaged archive, or arrays that cannot be used.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        other = next((name for name, array in arrays.items() if not isinstance(array, np.ndarray)), None)
        if other is not None:
            raise DataError(f"its member {other} is no array")
    except Exception as error:  # zlib, zipfile and numpy each have their own
        raise DataError(
            f"the .npz archive cannot be read: {unreadable(error)}",
            at=str(path),
            hint="save arrays of numbers with numpy.savez",
        ) from error
    if holds_files(arrays):
        return encoded_data(arrays, str(path), reading)
    return array_data(arrays, str(path), reading)


READER = Reader(".npz archive", matches, read)
