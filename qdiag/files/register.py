"""What this run has read, so that nothing it writes can replace it: files are compared by device and inode.

The command line keeps one register for each run. While it does, every file that Python opens for reading enters it by
itself, through an audit hook: a new reader cannot forget to say so. Files that native code opens (TorchScript,
safetensors) are those of options, which the command line enters before it starts.
"""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import source_from_cache
from pathlib import Path
from typing import Any

from qdiag.errors import ConfigError, WriteError

_Identity = tuple[int, int]
"""Device and inode: equal for hard links, and for a symbolic link and what it names."""


class FileRegister:
    """Files that were read, and files that are going to be written."""

    def __init__(self) -> None:
        self._read: dict[_Identity, str] = {}
        self._pending: list[str] = []
        self._outputs: set[str | _Identity] = set()

    def note(self, path: str) -> None:
        """A file that was read. It is looked at later, and only if something is written where a file lies already."""
        self._pending.append(path)

    def forget(self, path: Path) -> None:
        """A file that this run wrote itself, and read back."""
        self._settle()
        identity = _identity(path)
        if identity is not None:
            self._read.pop(identity, None)

    def declare(self, path: Path) -> None:
        """A file that is going to be written.

        Raises:
            ConfigError: another option writes it, too.
            WriteError: it was read.
        """
        self.check(path)
        identity = _identity(path)
        if identity is None and path.exists():  # a pipe, a device: two may write there
            return
        names: set[str | _Identity] = {os.path.realpath(path), *([identity] if identity is not None else [])}
        if names & self._outputs:
            raise ConfigError(
                "two options would write to the same file, the second over the first",
                at=str(path),
                hint="give another name",
            )
        self._outputs |= names

    def check(self, path: Path) -> None:
        """Refuses to write over what was read.

        Raises:
            WriteError: a file with this name, or with another name of the same file, was read.
        """
        identity = _identity(path)
        if identity is None:
            return
        self._settle()
        if identity in self._read:
            read = self._read[identity]
            what = "a file that is read" if Path(read).absolute() == path.absolute() else f"{read}, which is read"
            raise WriteError(f"it would be written over {what}", at=str(path), hint="give another name")

    def _settle(self) -> None:
        pending, self._pending = self._pending, []
        for path in pending:
            identity = _identity(Path(path))
            if identity is not None:
                self._read.setdefault(identity, path)


_current: FileRegister | None = None


@contextmanager
def registering() -> Iterator[FileRegister]:
    """A fresh register for one run; the one of an outer run comes back afterwards."""
    global _current
    _listen()
    outer, _current = _current, FileRegister()
    try:
        yield _current
    finally:
        _current = outer


def note_read(path: str | Path) -> None:
    """Enters a file that was read, or is going to be, where a register is kept."""
    if _current is not None:
        _current.note(str(path))


def declare_outputs(paths: Iterable[str | Path]) -> None:
    """Enters files that are going to be written, and finds out now what would stop that.

    Raises:
        ConfigError, WriteError: see `FileRegister.declare`.
    """
    for path in paths:
        if _current is not None:
            _current.declare(Path(path))


def check_unread(path: str | Path) -> None:
    """Refuses to write over what was read; what writes asks this each time.

    Raises:
        WriteError: the file was read in this run.
    """
    if _current is not None:
        _current.check(Path(path))


def forget(path: str | Path) -> None:
    """Takes out a file that this run wrote itself."""
    if _current is not None:
        _current.forget(Path(path))


def _identity(path: Path) -> _Identity | None:
    """None for what does not exist, and for folders, pipes and devices: writing to those replaces nothing."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


@cache
def _listen() -> None:
    """Python has no way to take an audit hook away again; without a register it does nothing."""
    sys.addaudithook(_heard)


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "open" or _current is None:
        return
    path, _, flags = arguments
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not isinstance(path, str) or flags & (os.O_WRONLY | os.O_RDWR):
        return
    _current.note(str(Path(path).absolute()))
    if path.endswith(".pyc"):  # of a source file that was read in an earlier run
        try:
            _current.note(source_from_cache(path))
        except ValueError:
            return
