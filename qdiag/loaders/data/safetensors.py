"""`.safetensors`: named arrays behind a JSON header."""

import struct
from pathlib import Path

from safetensors import safe_open

from qdiag.errors import DataError
from qdiag.loaders.data.arrays import array_data
from qdiag.loaders.data.samples import Reader, Reading, StoredData
from qdiag.loaders.data.torch_file import to_array


def matches(path: Path) -> bool:
    """Eight bytes of header length, and a JSON object that long fits into the file."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] <= path.stat().st_size


def read(path: Path, reading: Reading) -> StoredData:
    """The arrays of a file.

    Raises:
        DataError: a damaged file, or arrays that cannot be used.
    """
    try:
        with safe_open(path, framework="pt") as file:
            arrays = {name: to_array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except DataError as error:
        raise DataError(error.message, at=str(path), hint="store numbers of float16, float32, integers") from error
    except Exception as error:
        raise DataError("the safetensors file cannot be read", at=str(path), hint="write it again") from error
    return array_data(arrays, str(path), reading)


READER = Reader(".safetensors arrays", matches, read)
