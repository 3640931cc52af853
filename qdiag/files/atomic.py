"""Everything that is written goes through here: files appear whole or not at all, and none that was read is lost."""

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qdiag.errors import WriteError
from qdiag.files.refusal import refusal
from qdiag.files.register import forget
from qdiag.files.standard_output import results_stream
from qdiag.files.target import STDOUT, check_writable

__all__ = ["STDOUT", "append_file", "check_writable", "remove_file", "whole_file", "write_file"]

_READER_WAIT_S = 10.0
"""How long a pipe may be without a reader, who may be starting up."""


def write_file(target: str | Path, content: str | bytes, *, over_input: bool = False) -> None:
    """Writes to a temporary file in the same folder, then renames it onto `target`; `-` is standard output.

    A symbolic link stays, and what it names is replaced. A pipe or a device is opened and written to. A file that is
    replaced keeps its permissions.

    Args:
        over_input: a file that this run read may be replaced: somebody asked for just that.

    Raises:
        WriteError: the folder is missing, the file was read in this run, or it cannot be written. What lay there
            before is then untouched.
    """
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    if str(target) == STDOUT:
        write_stdout(data)
        return
    with _replacing(target, over_input=over_input) as temporary:
        temporary.write_bytes(data)


@contextmanager
def whole_file(target: str | Path, *, over_input: bool = False) -> Iterator[Path]:
    """A temporary file beside `target`, to be written and checked inside the block, then renamed onto it.

    Args:
        over_input: as for `write_file`.

    Raises:
        WriteError: as `write_file`. What lay there before is then untouched, as it is when the block raises.
    """
    with _replacing(target, over_input=over_input) as temporary:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # a rename may reach the disk before the bytes do


def append_file(target: str | Path, content: str) -> None:
    """Adds to a file that others write to as well, or makes it.

    Raises:
        WriteError: the file was read in this run, or cannot be written.
    """
    found = check_writable(target)
    if found is None:
        write_stdout(content.encode("utf-8", "replace"))
        return
    try:
        if found.is_stream:
            _stream(found.path, content.encode("utf-8", "replace"))
            return
        with found.path.open("ab") as file:
            file.write(content.encode("utf-8", "replace"))
    except OSError as error:
        raise WriteError(f"it cannot be written: {refusal(error)}", at=str(target)) from error


def remove_file(path: Path, *, over_input: bool = False) -> None:
    """Deletes a file of an earlier run.

    Args:
        over_input: as for `write_file`.

    Raises:
        WriteError: it was read in this run, or cannot be deleted.
    """
    check_writable(path, over_input=over_input)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(f"it cannot be deleted: {refusal(error)}", at=str(path)) from error


def write_stdout(data: bytes) -> None:
    """Bytes to standard output.

    Raises:
        WriteError: it is closed, full, or nobody reads it any more.
    """
    try:
        stream = results_stream()
        stream.flush()
        stream.buffer.write(data)
        stream.buffer.flush()
    except OSError as error:
        raise WriteError(f"it cannot be written: {refusal(error)}", at="standard output") from error


@contextmanager
def _replacing(target: str | Path, *, over_input: bool) -> Iterator[Path]:
    """The one place that writes: a temporary file, which takes the place of `target` or is poured into it."""
    found = check_writable(target, over_input=over_input)
    if found is None:
        raise WriteError("this is standard output, not a file", at=str(target))
    path = found.path
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name[:100]}.", suffix=".part", dir=None if found.is_stream else path.parent
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        if found.is_stream:
            _stream(path, temporary.read_bytes())
            return
        check_writable(target, over_input=over_input)  # asked again: it may have been read since
        temporary.chmod(mode_of(path))  # mkstemp makes files for the owner's eyes only
        forget(path)  # the system gives its inode to the next new file
        temporary.replace(path)
        forget(path)  # a saver reads back what it wrote
        temporary = None
    except OSError as error:
        raise WriteError(f"it cannot be written: {refusal(error)}", at=str(target)) from error
    finally:
        if temporary is not None:  # it failed, or somebody pressed Ctrl-C
            temporary.unlink(missing_ok=True)


def _stream(path: Path, data: bytes) -> None:
    """Opens and writes; a pipe is waited for until somebody reads it, but not for ever."""
    deadline = time.monotonic() + _READER_WAIT_S
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
            break
        except OSError as error:
            if error.errno != errno.ENXIO or not path.is_fifo():
                raise
            if time.monotonic() > deadline:
                raise WriteError("nobody reads from this pipe", at=str(path)) from error
            time.sleep(0.02)
    with os.fdopen(handle, "wb") as file:
        os.set_blocking(file.fileno(), True)
        file.write(data)


def mode_of(path: Path) -> int:
    """Permissions of a file that is replaced, or those that a new one gets."""
    with suppress(FileNotFoundError):
        return path.stat().st_mode & 0o7777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
