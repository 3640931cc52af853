"""What the passes of a run took, kept beside them, so that a later run knows what it need not wait for."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

_LEAST = 0.1
"""Of what a stage is expected to take: what is left of one that was not finished, however many passes are kept."""


@runtime_checkable
class NoteCache(Protocol):
    """A cache that also keeps small notes, which are no passes."""

    def holds(self, key: str) -> bool:
        """Whether a pass is there."""
        ...

    def get_note(self, key: str) -> bytes | None:
        """What was written under the key; None where there is nothing, or nothing whole."""
        ...

    def put_note(self, key: str, value: bytes) -> None:
        """Keeps a note, in place of the one before."""
        ...


@dataclass
class _Stage:
    """Seconds of each pass by its key, and of all else that the stage does; None for one that was never finished."""

    passes: dict[str, float] = field(default_factory=dict)
    rest_s: float | None = None


class Ledger:
    """Of one kind of run: the same network, plan, data and options.

    Args:
        cache: where it is kept, beside the passes. key: of the run.
    """

    def __init__(self, cache: NoteCache, key: str) -> None:
        self._cache, self._key = cache, key
        self._stages = _read(cache.get_note(key))
        self._current: _Stage | None = None
        self._run_s = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Passes that are run inside belong to this stage."""
        self._current, self._run_s = self._stages.setdefault(name, _Stage()), 0.0
        started = time.perf_counter()
        try:
            yield
            self._current.rest_s = max(time.perf_counter() - started - self._run_s, 0.0)
            self._write()
        finally:
            self._current = None

    def add(self, key: str, seconds: float) -> None:
        """A pass was run, and is kept."""
        if self._current is not None:
            self._current.passes[key] = seconds
            self._run_s += seconds
            self._write()

    def left_s(self, stage: str, expected_s: float) -> float:
        """What a stage takes with the passes that are kept, where it takes `expected_s` without any."""
        known = self._stages.get(stage)
        if known is None:
            return expected_s
        kept_s = sum(seconds for key, seconds in known.passes.items() if self._cache.holds(key))
        if known.rest_s is not None:
            return known.rest_s + sum(known.passes.values()) - kept_s
        return max(expected_s - kept_s, _LEAST * expected_s)

    def was_finished(self, stage: str) -> bool:
        """An earlier run went through all of it."""
        return stage in self._stages and self._stages[stage].rest_s is not None

    def _write(self) -> None:
        stages = {name: {"passes": stage.passes, "rest_s": stage.rest_s} for name, stage in self._stages.items()}
        self._cache.put_note(self._key, json.dumps(stages).encode())


def _read(data: bytes | None) -> dict[str, _Stage]:
    """Nothing of a note that is damaged: it costs a worse estimate and nothing else."""
    try:
        stages: Any = json.loads(data or b"{}")
        return {
            str(name): _Stage(
                {str(key): float(seconds) for key, seconds in stage["passes"].items()},
                None if stage["rest_s"] is None else float(stage["rest_s"]),
            )
            for name, stage in stages.items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
