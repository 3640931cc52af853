"""Where words go: results to stdout, everything else to stderr."""

import os
import time
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import IO, Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.text import Span, Text

from qdiag.cli.parameters import as_options
from qdiag.cli.process import launched_rank
from qdiag.core.printable import is_printable, printable
from qdiag.core.progress import NoProgress
from qdiag.core.progress import Progress as ProgressSink
from qdiag.errors import ConfigError, QdiagError
from qdiag.files.standard_output import results_stream

_WIDTH_IN_FILES = 160
"""Columns when stdout is a file or a pipe, where nothing needs to be left out."""


class OwnLines(Text):
    """Text whose ends of lines are our own, not part of a name."""


class PrintableConsole(Console):
    """Shows what would move the cursor, turn the direction of writing or end a line as a visible escape.

    The headers of tables are plain strings, of our own, and may have two lines; any other text of several lines is
    `OwnLines`.
    """

    @property
    def file(self) -> IO[str]:
        return super().file if self.stderr or self._file is not None else results_stream()

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def print(self, *objects: Any, **options: Any) -> None:
        """Texts beside each other would be joined to one of Rich's own, which has no lines of its own any more."""
        super().print(*(Group(o) if isinstance(o, OwnLines) else o for o in objects), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, str):
            renderable = printable(renderable, lines=True)
        elif isinstance(renderable, Text):
            renderable = _printable_text(renderable)
        return super().render(renderable, options)


def _printable_text(text: Text) -> Text:
    plain, keeps_lines = text.plain, isinstance(text, OwnLines)
    if is_printable(plain.replace("\n", "") if keeps_lines else plain):
        return text
    pieces = [printable(character, lines=keeps_lines) for character in plain]
    starts = [0, *accumulate(map(len, pieces))]
    shown = text.copy()
    shown.plain = "".join(pieces)
    shown.spans = [Span(starts[span.start], starts[min(span.end, len(plain))], span.style) for span in text.spans]
    return shown


def stdout_console() -> Console:
    """For results; as wide as the terminal, or wide enough for all columns when there is none."""
    if results_stream().isatty() or "COLUMNS" in os.environ:
        return PrintableConsole(highlight=False)
    return PrintableConsole(highlight=False, width=_WIDTH_IN_FILES)


def stderr_console() -> Console:
    """For progress, remarks and errors."""
    return PrintableConsole(stderr=True, highlight=False)


def print_error(error: QdiagError) -> None:
    """What, where and what to do, unwrapped so that paths can be copied."""
    console = stderr_console()
    console.print(Text.assemble(("error: ", "bold red"), as_options(error.message)), soft_wrap=True)
    if error.at:
        console.print(Text.assemble(("  where: ", "bold"), as_options(error.at)), soft_wrap=True)
    if error.hint:
        console.print(Text.assemble(("  hint:  ", "bold"), as_options(error.hint)), soft_wrap=True)
    if rank := launched_rank():
        console.print(Text.assemble(("  process: ", "bold"), str(rank)), soft_wrap=True)


def remark(text: str, *, quiet: bool) -> None:
    """One line on stderr."""
    if not quiet:
        stderr_console().print(Text(text, style="dim"), soft_wrap=True)


class ConsoleProgress:
    """One bar per stage with the time that is left; finished stages disappear."""

    def __init__(self, console: Console) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )

    def start(self, stage: str, total: int | None) -> None:
        self._clear()
        self._bar.add_task(stage, total=total)
        self._bar.start()

    def advance(self, steps: int = 1) -> None:
        if self._bar.task_ids:
            self._bar.advance(self._bar.task_ids[-1], steps)

    def finish(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._bar.stop()
        for task in list(self._bar.task_ids):
            self._bar.remove_task(task)


class LineProgress:
    """One line per finished stage, which a log keeps: its name, its steps and its seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage: str | None = None
        self._steps, self._started = 0, 0.0

    def start(self, stage: str, total: int | None) -> None:
        del total
        self.finish()
        self._stage, self._steps, self._started = stage, 0, time.perf_counter()

    def advance(self, steps: int = 1) -> None:
        self._steps += steps

    def finish(self) -> None:
        if self._stage is not None:
            counted = f", {self._steps} samples" if self._steps else ""
            line = f"{self._stage}{counted}: {time.perf_counter() - self._started:.1f} s"
            self._console.print(Text(line, style="dim"), soft_wrap=True)
        self._stage = None


def make_progress(*, quiet: bool, verbose: bool = False) -> ProgressSink:
    """A bar when somebody watches, a line per stage when asked for, otherwise nothing.

    Raises:
        ConfigError: both were asked for.
    """
    if quiet and verbose:
        raise ConfigError("--quiet and --verbose exclude each other", hint="leave one away")
    console = stderr_console()
    if verbose:
        return LineProgress(console)
    return ConsoleProgress(console) if console.is_terminal and not quiet else NoProgress()


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._start


def print_commands(console: Console, title: str, lines: Sequence[str]) -> None:
    """One line each, however wide the terminal is, so that they can be copied."""
    console.print(Text(title, style="bold"))
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)
