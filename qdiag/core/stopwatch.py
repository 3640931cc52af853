"""How long the stages of a run take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from qdiag.core.measures.measurement import StageTime
from qdiag.core.progress import RunProgress


class Stopwatch:
    """Times the stages of a run.

    Args:
        told: hears when a stage begins and ends.
    """

    def __init__(self, told: RunProgress | None = None) -> None:
        self._stages: list[StageTime] = []
        self._told = told

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times what happens inside."""
        started = time.perf_counter()
        with self.told(name):
            yield
        self._stages.append(StageTime(name, time.perf_counter() - started))

    @contextmanager
    def told(self, name: str) -> Iterator[None]:
        """A stage of the run that is no part of what the result tells about its times."""
        if self._told is None:
            yield
            return
        self._told.enter(name)
        try:
            yield
        finally:
            self._told.leave()

    def anew(self) -> "Stopwatch":
        """Another one for the same run."""
        return Stopwatch(self._told)

    @property
    def stages(self) -> tuple[StageTime, ...]:
        return tuple(self._stages)
