"""Finished passes over the data, kept so that a run that was stopped goes on where it was."""

import hashlib
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from qdiag.batches import Batches
from qdiag.distributed.processes import ONE, Processes
from qdiag.simulate.passes.fingerprints import Fingerprints, NoFingerprint
from qdiag.simulate.passes.ledger import Ledger, NoteCache

T = TypeVar("T")

_DAMAGE = (ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile, zlib.error)


class PassCache(Protocol):
    """Bytes by key. What it lacks, or cannot take, costs time and nothing else."""

    def get(self, key: str) -> bytes | None:
        """What was stored under the key; None when there is nothing, or nothing whole."""
        ...

    def put(self, key: str, value: bytes) -> None:
        """Stores a value; a cache that cannot write lets it go."""
        ...


@dataclass(frozen=True)
class Codec(Generic[T]):
    """What the result of a kind of pass looks like in bytes.

    Attributes:
        decode: raises a `ValueError` (or what numpy and zlib raise) for bytes that `encode` did not write.
    """

    encode: Callable[[T], bytes]
    decode: Callable[[bytes], T]


class PassKeeper:
    """The passes of one run: each is run once, here or in an earlier run that depended on the same things.

    Args:
        cache: None keeps nothing.
        scope: what all passes of the run depend on beside what is named with each: versions, device, threads.
        processes: those that run a part of each pass; the first one reads and writes the cache for all.
    """

    def __init__(self, cache: PassCache | None = None, scope: str = "", processes: Processes = ONE) -> None:
        self._cache, self._scope, self.processes = cache, scope, processes
        self._fingerprints = Fingerprints()
        self.ledger: Ledger | None = None

    def open_ledger(self, *, batches: Sequence[Batches], depends_on: Sequence[object]) -> None:
        """From now on it is kept what passes take, for later runs of the same kind; see `finished` for what decides it.

        None where passes are not kept either.
        """
        key = self._key(f"ledger of {self.processes.count}", batches, depends_on)
        cache = self._cache
        if self.processes.is_first and key is not None and cache is not None and isinstance(cache, NoteCache):
            self.ledger = Ledger(cache, key)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Passes that are run inside belong to this stage of the run."""
        if self.ledger is None:
            yield
            return
        with self.ledger.stage(name):
            yield

    def finished(
        self,
        kind: str,
        codec: Codec[T],
        run: Callable[[], T],
        *,
        batches: Sequence[Batches],
        depends_on: Sequence[object],
    ) -> T:
        """The result of a pass: from the cache where it is there, otherwise by running it.

        Args:
            kind: of pass, so that two kinds over the same things stay apart.
            batches: what is run through, and other data that the result depends on.
            depends_on: everything else that decides the result: networks, plans, schemes, names.
        """
        key = self._key(kind, batches, depends_on)
        if key is None or self._cache is None:
            return run()
        stored = self.processes.of_first(self._cache.get(key) if self.processes.is_first else None, kind, key)
        if stored is not None:
            try:
                return codec.decode(stored)
            except _DAMAGE:
                pass  # it will be replaced
        started = time.perf_counter()
        result = run()
        if self.processes.is_first:
            self._cache.put(key, codec.encode(result))
        if self.ledger is not None:
            self.ledger.add(key, time.perf_counter() - started)
        return result

    def _key(self, kind: str, batches: Sequence[Batches], depends_on: Sequence[object]) -> str | None:
        """None where something has no fingerprint: such a pass is run every time."""
        if self._cache is None:
            return None
        try:
            parts = [*map(self._fingerprints.of_batches, batches), *map(self._fingerprints.of, depends_on)]
        except NoFingerprint:
            return None
        return hashlib.sha256("\n".join((kind, self._scope, *parts)).encode()).hexdigest()
