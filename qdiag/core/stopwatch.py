"""How long the stages of a run take."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from qdiag.core.measures.measurement import StageTime


class Stopwatch:
    """Times the stages of a run."""

    def __init__(self) -> None:
        self._stages: list[StageTime] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times what happens inside."""
        started = time.perf_counter()
        yield
        self._stages.append(StageTime(name, time.perf_counter() - started))

    @property
    def stages(self) -> tuple[StageTime, ...]:
        return tuple(self._stages)
