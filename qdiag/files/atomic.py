"""Files appear whole or not at all."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qdiag.errors import WriteError

STDOUT = "-"


def write_file(target: str | Path, content: str | bytes) -> None:
    """Writes to a temporary file in the same folder, then renames it onto `target`; `-` is standard output.

    Raises:
        WriteError: the folder is missing, or the file cannot be written. What lay there before is then untouched.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    if str(target) == STDOUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    path = Path(target)
    check_writable(path)
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(_mode_of_new_files())  # mkstemp makes files for the owner's eyes only
        Path(temporary).replace(path)
        temporary = None
    except OSError as error:
        raise WriteError(f"cannot be written: {error.strerror or error}", at=str(path)) from error
    finally:
        if temporary is not None:  # it failed, or somebody pressed Ctrl-C
            Path(temporary).unlink(missing_ok=True)


@contextmanager
def whole_file(target: str | Path) -> Iterator[Path]:
    """A temporary file beside `target`, to be written and checked inside the block, then renamed onto it.

    It keeps the permissions of the file that it replaces.

    Raises:
        WriteError: the folder is missing, or the file cannot be written. What lay there before is then untouched, as
            it is when the block raises.
    """
    path = Path(target)
    check_writable(path)
    temporary: Path | None = None
    try:
        mode = path.stat().st_mode & 0o7777 if path.exists() else _mode_of_new_files()
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # a rename may reach the disk before the bytes do
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as error:
        raise WriteError(f"cannot be written: {error.strerror or error}", at=str(path)) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def check_writable(target: str | Path) -> None:
    """Finds out before a long run what would stop `write_file` after it.

    Raises:
        WriteError: the folder is missing or closed, or a folder has that name.
    """
    if str(target) == STDOUT:
        return
    path = Path(target)
    if path.is_dir():
        raise WriteError(
            "is a folder, not a file", at=str(path), hint=f"give a file name, such as {path / 'sqnr.json'}"
        )
    if not path.parent.is_dir():
        raise WriteError("the folder does not exist", at=str(path.parent), hint=f"create it: mkdir -p {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise WriteError("no permission to write into the folder", at=str(path.parent))


def _mode_of_new_files() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
