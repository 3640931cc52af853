"""How far a run is, for somebody who watches it and for a log."""

import os
import threading
import time
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from qdiag.cli.console import forget, print_flowing, put_aside, stderr_console
from qdiag.cli.waiting.schedule import Schedule
from qdiag.cli.waiting.words import duration
from qdiag.errors import ConfigError
from qdiag.reading.words.numbers import count_noun

LINE_EVERY_S = 25.0
"""In a log: many CI systems take a job for dead that says nothing for long, and somebody who reads it does as well."""
_TIMES_A_SECOND = 4
_BAR_WIDTH = 40


class Display(Protocol):
    """Shows a schedule from `open` to `close`."""

    def open(self) -> None: ...

    def close(self) -> None: ...

    def pass_is_over(self, name: str, steps: int, seconds: float) -> None:
        """A pass is over, which counted so many steps."""


class Silence:
    """Shows nothing."""

    def open(self) -> None:
        return

    def close(self) -> None:
        return

    def pass_is_over(self, name: str, steps: int, seconds: float) -> None:
        del name, steps, seconds


class Bar(Silence):
    """One bar for the whole run, with the time that is left, and what is done now in the line below it."""

    def __init__(self, console: Console, schedule: Schedule) -> None:
        self._console, self._schedule = console, schedule
        self._live: Live | None = None

    def open(self) -> None:
        if self._live is None:
            rate = _TIMES_A_SECOND
            self._live = Live(get_renderable=self.draw, console=self._console, refresh_per_second=rate, transient=True)
            self._live.start(refresh=True)
            put_aside(self)

    def close(self) -> None:
        if self._live is not None:
            forget(self)
            self._live.stop()
            self._live = None

    def draw(self) -> RenderableType:
        """As it is now."""
        share, left, gone = self._schedule.share(), self._schedule.left_s(), self._schedule.gone_s
        if share is None or left is None:
            bar, words = ProgressBar(total=None, width=_BAR_WIDTH, pulse=True), f"{duration(gone)} so far"
        else:
            bar = ProgressBar(total=1.0, completed=share, width=_BAR_WIDTH)
            words = f"{_percent(share)} %, {_left(left)}"
        row = Table.grid(padding=(0, 1))
        row.add_column(width=min(_BAR_WIDTH, max(self._console.width - len(words) - 2, 1)))
        row.add_column(no_wrap=True)
        row.add_row(bar, Text(words))
        return Group(row, Text(self._schedule.words(), style="dim", no_wrap=True, overflow="ellipsis"))


class Lines(Silence):
    """For a log: a line where nothing was said for a while, written by a thread of its own.

    Args:
        names_passes: also a line for each pass that is over.
    """

    def __init__(
        self, console: Console, schedule: Schedule, *, names_passes: bool = False, every_s: float = LINE_EVERY_S
    ) -> None:
        self._console, self._schedule = console, schedule
        self._names_passes, self._every_s = names_passes, every_s
        self._said_s = time.monotonic()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        if self._thread is None:
            self._closing.clear()
            self._said_s = time.monotonic()
            self._thread = threading.Thread(target=self._talk, name="progress", daemon=True)
            self._thread.start()

    def close(self) -> None:
        if self._thread is not None:
            self._closing.set()
            self._thread.join()
            self._thread = None

    def pass_is_over(self, name: str, steps: int, seconds: float) -> None:
        if self._names_passes:
            counted = f", {count_noun(steps, 'sample')}" if steps else ""
            self._say(f"{name}{counted}: {seconds:.1f} s")

    def line(self) -> str:
        """`43 % done, about 25 s left: rank, repairs 13/34, 240 of 500`."""
        share, left = self._schedule.share(), self._schedule.left_s()
        if share is None or left is None:
            return f"{duration(self._schedule.gone_s)} so far: {self._schedule.words()}"
        return f"{_percent(share)} % done, {_left(left)}: {self._schedule.words()}"

    def _talk(self) -> None:
        while not self._closing.wait(max(self._said_s + self._every_s - time.monotonic(), 0.0)):
            if time.monotonic() >= self._said_s + self._every_s:
                self._say(self.line())

    def _say(self, line: str) -> None:
        self._said_s = time.monotonic()
        print_flowing(self._console, Text(line, style="dim"))


def make_display(schedule: Schedule, *, quiet: bool = False, verbose: bool = False) -> Display:
    """A bar where somebody watches a terminal, lines in a log, and one for every pass where that is asked for.

    Raises:
        ConfigError: the options exclude each other.
    """
    if quiet and verbose:
        raise ConfigError("--quiet and --verbose exclude each other", hint="leave one away")
    console = stderr_console()
    if quiet:
        return Silence()
    # somebody may ask for colours in a log, which is no terminal nevertheless
    is_watched = console.is_terminal and console.file.isatty() and not console.is_dumb_terminal
    if is_watched and not verbose and not os.environ.get("CI"):
        return Bar(Console(stderr=True, highlight=False), schedule)
    return Lines(console, schedule, names_passes=verbose)


def _percent(share: float) -> int:
    return min(int(100.0 * share), 99)


def _left(seconds: float) -> str:
    return f"about {duration(seconds)} left"
