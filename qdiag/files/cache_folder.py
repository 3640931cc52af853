"""A folder of finished passes: one file each, whole or absent, the ones used longest ago thrown out first.

Imports no torch, so that `qdiag cache` starts at once.
"""

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qdiag.errors import ConfigError
from qdiag.files.read import read_bytes
from qdiag.files.refusal import refusal

LIMIT_BYTES = 1024 * 10**6
"""Unless `QDIAG_CACHE_MB` says otherwise."""
FOLDER_VARIABLE, LIMIT_VARIABLE = "QDIAG_CACHE_DIR", "QDIAG_CACHE_MB"

_MAGIC = b"qdiag pass 1\n"
_TAG_NAME, _TAG = "CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# Finished passes of qdiag.\n"
"""What backup programs know a cache by (bford.info/cachedir)."""
_PASS, _NOTE = ".pass", ".note"
_OURS = re.compile(r"[0-9a-f]{64}\.(pass|note)")
_OURS_UNFINISHED = re.compile(r"\.[0-9a-f]{64}\.\w+\.part")
_STALE_S = 3600.0
"""An unfinished file of that age has nobody left who would finish it."""
_KEPT_FRACTION = 0.9
"""Of the limit, when it was passed: so that not every further file has to make room anew."""


@dataclass(frozen=True)
class CacheUse:
    """What a folder holds. foreign_count: files that are not ours."""

    pass_count: int
    used_bytes: int
    foreign_count: int


def cache_folder() -> Path:
    """`$QDIAG_CACHE_DIR`, else `qdiag` in the user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`)."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME", "")
    # the specification says that a relative path there is to be ignored
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "qdiag"


def cache_limit() -> int:
    """Bytes.

    Raises:
        ConfigError: the variable holds no whole number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "").strip()
    if not text:
        return LIMIT_BYTES
    if not text.isdecimal():
        raise ConfigError(f"{text!r} is no number of megabytes", at=LIMIT_VARIABLE, hint="give a whole number")
    return int(text) * 10**6


class FolderCache:
    """Finished passes in a folder, see `qdiag.simulate.passes.pass_cache.PassCache`. It is made when it is needed.

    Several processes may share one: a file is renamed to its name when it is whole, and equal names mean equal content.

    Attributes:
        stored: keys of passes that this run added. used: those that it found from earlier runs.
        problem: why nothing more is stored; None while all is well.
    """

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self._limit = folder, limit_bytes
        self.used: set[str] = set()
        self.stored: set[str] = set()
        self.problem: str | None = None
        self._total: int | None = None

    def get(self, key: str) -> bytes | None:
        """The value; None where there is none. A damaged file is thrown away."""
        value = self._read(self._path(key))
        if value is not None and key not in self.stored:
            self.used.add(key)
        return value

    def holds(self, key: str) -> bool:
        """Whether the pass is there, whole or not: it is only looked for, and does not count as used."""
        return self._path(key).is_file()

    def get_note(self, key: str) -> bytes | None:
        """The same as `get` of what is no pass: it is not counted."""
        return self._read(self._path(key, _NOTE))

    def _read(self, path: Path) -> bytes | None:
        try:
            data = read_bytes(path, self._limit)
        except OSError:
            return None
        head, value = data[: len(_MAGIC) + 32], data[len(_MAGIC) + 32 :]
        if head != _MAGIC + hashlib.sha256(value).digest():
            _remove(path)
            return None
        with suppress(OSError):
            os.utime(path)  # its time is that of its last use
        return value

    def put(self, key: str, value: bytes) -> None:
        """Stores a value, and throws out others where the folder grows beyond its limit."""
        if self._write(self._path(key), value):
            self.stored.add(key)

    def put_note(self, key: str, value: bytes) -> None:
        """The same for what is no pass: it is not counted."""
        self._write(self._path(key, _NOTE), value)

    def _write(self, path: Path, value: bytes) -> bool:
        if self.problem is not None:
            return False
        data = _MAGIC + hashlib.sha256(value).digest() + value
        if len(data) > self._limit * _KEPT_FRACTION:
            return False
        temporary: Path | None = None
        try:
            self._make()
            handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=".part", dir=self.folder)
            temporary = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            temporary.replace(path)
            temporary = None
            self._grow(len(data))
        except OSError as error:
            self.problem = f"{self.folder}: {refusal(error)}"
            return False
        finally:
            if temporary is not None:  # interrupted, or the disk is full
                _remove(temporary)
        return True

    def use(self) -> CacheUse:
        """What the folder holds."""
        ours = self._passes()
        foreign = sum(not _is_ours(path) for path in self._files())
        count = sum(path.suffix == _PASS for _, path, _ in ours)
        return CacheUse(count, sum(size for _, _, size in ours), foreign)

    def clear(self) -> CacheUse:
        """Deletes our own files and nothing else, and the folder itself once it is empty.

        Returns:
            What was deleted, and how many foreign files were left.
        """
        before = self.use()
        for path in list(self._files()):
            if _is_ours(path):
                _remove(path)
        with suppress(OSError):  # not empty, or not there
            self.folder.rmdir()
        return before

    def _path(self, key: str, suffix: str = _PASS) -> Path:
        return self.folder / f"{key}{suffix}"

    def _make(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True, mode=0o700)
        tag = self.folder / _TAG_NAME
        if not tag.exists():
            tag.write_text(_TAG, encoding="utf-8")

    def _files(self) -> Iterator[Path]:
        if self.folder.is_dir():
            yield from sorted(path for path in self.folder.iterdir() if not path.is_dir())

    def _passes(self) -> list[tuple[float, Path, int]]:
        """Time of last use, file and size of every pass and note, the one used longest ago first."""
        found = []
        for path in self._files():
            if _OURS.fullmatch(path.name) and not path.is_symlink():
                try:
                    stat = path.stat()
                except OSError:  # another process was faster
                    continue
                found.append((stat.st_mtime, path, stat.st_size))
        return sorted(found)

    def _grow(self, size: int) -> None:
        self._total = self._total + size if self._total is not None else sum(s for _, _, s in self._passes())
        if self._total <= self._limit:
            return
        passes = self._passes()
        self._total = sum(s for _, _, s in passes)
        for _, path, freed in passes:
            if self._total <= self._limit * _KEPT_FRACTION:
                break
            _remove(path)
            self._total -= freed
        for path in self._files():
            if _OURS_UNFINISHED.fullmatch(path.name) and path.stat().st_mtime < time.time() - _STALE_S:
                _remove(path)


def _is_ours(path: Path) -> bool:
    if path.is_symlink():
        return False
    if path.name != _TAG_NAME:
        return _OURS.fullmatch(path.name) is not None or _OURS_UNFINISHED.fullmatch(path.name) is not None
    try:
        return read_bytes(path, len(_TAG)) == _TAG.encode()
    except OSError:
        return False


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
