"""Where words go: results to stdout, everything else to stderr."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from shutil import get_terminal_size
from typing import IO, Any, Protocol

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.text import Span, Text

from qdiag.cli.parameters import as_advice, as_options
from qdiag.cli.process import launched_rank, speaks_for
from qdiag.cli.quantity import freed, held, held_words
from qdiag.core.printable import is_printable, printable
from qdiag.errors import ConfigError, QdiagError
from qdiag.files.standard_output import results_stream
from qdiag.reading.words.commands.shell import wrapped

_BLANKS = re.compile(r"[ \t]+$", re.MULTILINE)
_WIDTH_IN_FILES = 160
"""Columns when stdout is a file or a pipe, where nothing needs to be left out."""


class Shown(Protocol):
    """Something that is drawn at the end of the terminal, over and over."""

    def open(self) -> None: ...

    def close(self) -> None: ...


_shown: list[Shown] = []


def put_aside(drawn: Shown) -> None:
    """From now on it is taken away while anything else is printed."""
    _shown.append(drawn)


def forget(drawn: Shown) -> None:
    """It is not drawn any more."""
    _shown[:] = [other for other in _shown if other is not drawn]


@contextmanager
def nothing_shown() -> Iterator[None]:
    """Takes away what is drawn, and draws it again."""
    drawn = tuple(_shown)
    for one in drawn:
        one.close()
    try:
        yield
    finally:
        for one in drawn:
            one.open()


class OwnLines(Text):
    """Text whose ends of lines are our own, not part of a name."""


class PrintableConsole(Console):
    """Shows what would move the cursor, turn the direction of writing or end a line as a visible escape, and breaks no
    line between a number and its unit.

    The headers of tables are plain strings, of our own, and may have two lines; any other text of several lines is
    `OwnLines`.
    """

    has_asked_width = False
    """Whether COLUMNS says how wide a file or a pipe is."""

    @property
    def file(self) -> IO[str]:
        return super().file if self.stderr or self._file is not None else results_stream()

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    @property
    def size(self) -> ConsoleDimensions:
        """Rich takes every terminal without control sequences to have 80 columns."""
        if not self.is_dumb_terminal:
            return super().size
        own = get_terminal_size((80, 25))
        return ConsoleDimensions(self._width or own.columns, self._height or own.lines)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size

    def print(self, *objects: Any, **options: Any) -> None:
        """Texts beside each other would be joined to one of Rich's own, which has no lines of its own any more."""
        with nothing_shown():
            super().print(*(Group(o) if isinstance(o, OwnLines) else o for o in objects), **options)

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        """In files and pipes without the blanks that fill lines up."""
        text = freed(super()._render_buffer(buffer))
        return text if self.is_terminal else _BLANKS.sub("", text)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, str):
            renderable = printable(renderable, lines=True)
        elif isinstance(renderable, Text):
            renderable = held(_printable_text(renderable))
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
        console = PrintableConsole(highlight=False)
        console.has_asked_width = "COLUMNS" in os.environ
        return console
    return PrintableConsole(highlight=False, width=_WIDTH_IN_FILES)


def breaks_lines(console: Console) -> bool:
    """Whether sentences are broken at the width: in a terminal, and where somebody asked for a width with COLUMNS."""
    return console.is_terminal or (isinstance(console, PrintableConsole) and console.has_asked_width)


def stderr_console() -> Console:
    """For remarks and errors, and lines of progress."""
    return PrintableConsole(stderr=True, highlight=False)


def print_error(error: QdiagError) -> None:
    """What, where and what to do; of several processes, one says it."""
    if not speaks_for(error.process):
        return
    console = stderr_console()
    print_flowing(console, Text(as_options(error.message)), ("error: ", "bold red"))
    if error.at:
        print_flowing(console, Text(as_options(error.at)), ("  where: ", "bold"))
    if error.hint:
        print_flowing(console, Text(as_advice(error.hint)), ("  hint:  ", "bold"))
    if _has_more_to_say(error):
        print_flowing(console, Text("--debug shows what the library beneath says of it"), ("  more:  ", "dim"))
    if error.process:
        print_flowing(console, Text(str(error.process)), ("  process: ", "bold"))


def print_flowing(console: Console, text: Text, label: tuple[str, str] | None = None) -> None:
    """A sentence: broken between words in a terminal and at the width of COLUMNS, else one line, which can be searched.

    Errors and remarks in a file or a pipe are one line even then, as those of compilers are.

    A word that is longer than a line stays whole, since it is a path that is to be copied.

    Args:
        label: what the first line begins with, and its style; the others stand below the sentence.
    """
    indent, shown = len(label[0]) if label else 0, _printable_text(text)
    for i, line in enumerate(_broken(shown, console.width - indent) if breaks_lines(console) else [shown]):
        head = label if label and i == 0 else " " * indent
        console.print(Text.assemble(head, line), soft_wrap=True)


def _broken(text: Text, width: int) -> Iterable[Text]:
    """Lines of at most `width` columns, as far as no word is longer."""
    offsets, start = [], 0
    for word in re.finditer(r"\S+", held_words(text.plain)):
        if word.start() > start and cell_len(text.plain[start : word.end()]) > width:
            start = word.start()
            offsets.append(start)
    lines = text.divide(offsets)
    for line in lines:
        line.rstrip()
    return lines


def _has_more_to_say(error: QdiagError) -> bool:
    """Whether a library beneath failed, whose words may help those who know it."""
    is_foreign = not isinstance(error.__cause__, QdiagError | OSError | ImportError | UnicodeError)
    return error.__cause__ is not None and is_foreign and not isinstance(error, ConfigError)


def remark(text: str, *, quiet: bool) -> None:
    """One sentence on stderr, of the first process alone where several run."""
    if not quiet and not launched_rank():
        print_flowing(stderr_console(), Text(text, style="dim"))


def print_commands(console: Console, title: str, lines: Sequence[str]) -> None:
    """To be copied: wrapped as a shell goes on, as wide as the terminal or the file."""
    console.print(Text(title, style="bold"))
    for line in lines:
        for part in wrapped(line, console.width - 2).splitlines():
            console.print(Text(f"  {part}"), soft_wrap=True)
