"""The progress of a run: its schedule, and what shows it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from qdiag.cli.console import remark
from qdiag.cli.waiting.clock import run_started_s
from qdiag.cli.waiting.display import Display, make_display
from qdiag.cli.waiting.schedule import OTHER, Schedule
from qdiag.cli.waiting.words import times_words
from qdiag.core.progress import Progress, RunProgress
from qdiag.core.stopwatch import Stopwatch


class WatchedRun:
    """Keeps what the library tells of its work in a schedule, while a display shows it."""

    def __init__(self, schedule: Schedule, display: Display) -> None:
        self.schedule, self._display = schedule, display
        self._name: str | None = None
        self._steps, self._began_s = 0, 0.0

    def start(self, stage: str, total: int | None) -> None:
        self.finish()
        self._name, self._steps, self._began_s = stage, 0, time.perf_counter()
        self.schedule.begin_pass(stage, total)

    def advance(self, steps: int = 1) -> None:
        self._steps += steps
        self.schedule.advance(steps)

    def finish(self) -> None:
        if self._name is not None:
            self.schedule.end_pass()
            self._display.pass_is_over(self._name, self._steps, time.perf_counter() - self._began_s)
        self._name = None

    def enter(self, stage: str) -> None:
        self.schedule.enter(stage)

    def leave(self) -> None:
        self.schedule.leave()

    def expect(self, seconds: Mapping[str, float]) -> None:
        self.schedule.expect(seconds)

    def open(self) -> None:
        """Shows it from now on."""
        self._display.open()

    def close(self) -> None:
        """Shows nothing any more."""
        self._name = None
        self._display.close()


def make_progress(*, quiet: bool = False, verbose: bool = False) -> Progress:
    """Of a run that began with the process.

    Raises:
        ConfigError: the options exclude each other.
    """
    schedule = Schedule(run_started_s())
    return WatchedRun(schedule, make_display(schedule, quiet=quiet, verbose=verbose))


@contextmanager
def shown(progress: Progress) -> Iterator[None]:
    """Shows a progress that can be shown, until the end, whatever that is."""
    if not isinstance(progress, WatchedRun):
        yield
        return
    progress.open()
    try:
        yield
    finally:
        progress.close()


@contextmanager
def run_stage(progress: Progress, name: str) -> Iterator[None]:
    """A stage of a run that has no session."""
    with Stopwatch(progress if isinstance(progress, RunProgress) else None).told(name):
        yield


def tell_times(progress: Progress, *, quiet: bool) -> None:
    """What the run took, as a remark: all of it, and its stages, which add up to it."""
    if isinstance(progress, WatchedRun):
        remark(times_words(progress.schedule.times(), OTHER), quiet=quiet)
