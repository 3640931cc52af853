"""Files that a user names are opened here: regular files alone, and where a limit is given, up to that size.

A FIFO would wait for ever for somebody who writes to it, and a device such as `/dev/zero` has no end. The errors are
`OSError`, with the fact in `strerror`, so that callers treat them as they treat a file that is not there.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

RESULT_BYTES_MAX = 256 << 20
"""Stored results and baselines. The diagnosis of a network with a thousand layers takes about 10 MB."""
TABLE_BYTES_MAX = 64 << 20
"""`labels.csv`: a million images take about 40 MB."""
SETTINGS_BYTES_MAX = 1 << 20
"""TOML: schemes and gate files."""
_PART_BYTES = 1 << 20

# Without O_NONBLOCK, opening a FIFO waits before anything can be found out about it.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY"))
_KINDS = (
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file in hexadecimal, as `sha256sum` prints it; empty where there is no such file."""
    if not Path(path).is_file():
        return ""
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while part := stream.read(_PART_BYTES):
            digest.update(part)
    return digest.hexdigest()


@contextmanager
def open_regular(path: str | Path) -> Iterator[BinaryIO]:
    """The file, opened for reading.

    Raises:
        IsADirectoryError: a folder. OSError: anything else that is no regular file, or cannot be opened.
    """
    name = os.fspath(path)
    with os.fdopen(os.open(name, _FLAGS), "rb") as stream:
        _check(os.fstat(stream.fileno()), name)
        yield stream


def check_regular(path: str | Path) -> None:
    """Raises what `open_regular` raises, for libraries that take paths alone."""
    with open_regular(path):
        pass


def read_bytes(path: str | Path, max_bytes: int) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: as `open_regular`, or a file of more than `max_bytes`.
    """
    with open_regular(path) as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        fact = f"it is larger than {_size(max_bytes)}, the most that is read of such a file"
        raise OSError(errno.EFBIG, fact, os.fspath(path))
    return content


def read_text(path: str | Path, max_bytes: int) -> str:
    """The same as UTF-8 text, line ends as `\\n`.

    Raises:
        OSError: as `read_bytes`. UnicodeDecodeError: it is no UTF-8 text.
    """
    text = read_bytes(path, max_bytes).decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check(found: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if stat.S_ISREG(found.st_mode):
        return
    kind = next((words for is_kind, words in _KINDS if is_kind(found.st_mode)), "a special file")
    raise OSError(errno.EINVAL, f"it is {kind}, and only regular files are read", name)


def _size(byte_count: int) -> str:
    return f"{byte_count >> 20} MiB" if byte_count >= 1 << 20 else f"{byte_count} bytes"
