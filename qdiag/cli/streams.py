"""Standard output and standard error of a run: what cannot be written there does not cost the run its files.

Where a stream fails (closed, full, nobody reads it any more) the run goes on, and says so at its end. Characters that
its encoding lacks are written in ASCII. Under GitHub Actions, no line begins with a workflow command but our own.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from qdiag.core.printable import printable
from qdiag.files.refusal import refusal

_STYLE = re.compile(r"(\x1b\[[0-9;]*m)")
_IN_ASCII = str.maketrans(
    {
        **{"→": "->", "←": "<-", "…": "...", "≤": "<=", "≥": ">=", "≈": "~", "−": "-", "–": "-", "×": "x", "·": "."},  # noqa: RUF001
        **{"²": "2", "±": "+-", "“": '"', "”": '"', "’": "'", "•": "*", "∞": "inf", "█": "#", "▁": "_", "¦": "|"},  # noqa: RUF001
        **dict.fromkeys("─━═╌╴╶╸╺", "-"),
        **dict.fromkeys("│┃║", "|"),
        **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╯╰╷╵╞╡╪╬", "+"),
    }
)


class Stream:
    """A text stream that remembers its first failure instead of raising it.

    Attributes:
        failure: why nothing more is written; None while all is well.
        is_unread: the reader went away, as `head` does when it has enough; that is no error.
    """

    def __init__(self, inner: TextIO | None, *, defuses: bool) -> None:
        self._inner, self._defuses, self._line = inner, defuses, ""
        self.failure: str | None = "it is closed" if inner is None else None
        self.is_unread = False

    def __getattr__(self, name: str) -> Any:
        if self._inner is None:
            return _OF_CLOSED[name] if name in _OF_CLOSED else getattr(sys.__stderr__, name)
        return getattr(self._inner, name)

    @property
    def buffer(self) -> "_Bytes":
        return _Bytes(self)

    def write(self, text: str) -> int:
        """Text for people."""
        if not self.isatty():  # on a terminal, bars of progress move the cursor
            text = "".join(part if _STYLE.fullmatch(part) else printable(part, lines=True) for part in _split(text))
        self.write_raw(self._without_commands(text) if self._defuses else text)
        return len(text)

    def write_raw(self, text: str) -> None:
        """Text as it is, as far as the encoding has its characters."""
        if self._inner is None:
            return
        encoding = self._inner.encoding or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            text = text.translate(_IN_ASCII).encode(encoding, "backslashreplace").decode(encoding)
        self.attempt("write", text)

    def flush(self) -> None:
        self.attempt("flush")

    def isatty(self) -> bool:
        return self._inner is not None and self._inner.isatty()

    def attempt(self, method: str, *arguments: object, of_buffer: bool = False) -> None:
        """Calls the stream; its first failure is remembered, and nothing is written after it."""
        if self._inner is None or self.failure is not None:
            return
        try:
            getattr(self._inner.buffer if of_buffer else self._inner, method)(*arguments)
        except (OSError, ValueError) as error:  # ValueError: somebody closed it
            self.failure = refusal(error) if isinstance(error, OSError) else "it is closed"
            self.is_unread = isinstance(error, BrokenPipeError)

    def _without_commands(self, text: str) -> str:
        """Blanks within what the runner would take for a command: `::` at the start of a line, `##[` anywhere."""
        done = []
        for piece in text.splitlines(keepends=True):
            whole = self._line + piece
            if whole.lstrip().startswith("::"):
                at = len(whole) - len(whole.lstrip()) + 1 - len(self._line)
                piece = piece[: max(at, 0)] + " " + piece[max(at, 0) :]
            done.append(piece.replace("##[", "# #["))
            self._line = "" if piece.endswith("\n") else (self._line + piece)[-200:]
        return "".join(done)


class _Bytes:
    """The bytes below a stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        self._stream.attempt("write", data, of_buffer=True)
        return len(data)

    def flush(self) -> None:
        self._stream.attempt("flush", of_buffer=True)


_OF_CLOSED: dict[str, Any] = {"encoding": "utf-8", "errors": "strict", "closed": False, "writable": lambda: True}


def _split(text: str) -> list[str]:
    return _STYLE.split(text) if "\x1b" in text else [text]


@contextmanager
def guarded_streams() -> Iterator[tuple[Stream, Stream]]:
    """Standard output and standard error as `Stream` for a while."""
    defuses = os.environ.get("GITHUB_ACTIONS") == "true"
    old = sys.stdout, sys.stderr
    streams = Stream(sys.stdout, defuses=defuses), Stream(sys.stderr, defuses=defuses)
    sys.stdout, sys.stderr = (cast("TextIO", stream) for stream in streams)
    try:
        yield streams
    finally:
        for stream in streams:
            stream.flush()
        sys.stdout, sys.stderr = old


def write_commands(lines: Iterable[str], *, to_stderr: bool) -> None:
    """Workflow commands of our own."""
    stream: Any = sys.stderr if to_stderr else sys.stdout
    for line in lines:
        (stream.write_raw if isinstance(stream, Stream) else stream.write)(f"{line}\n")


def open_descriptors() -> None:
    """Gives closed standard streams a place, or the first file that is opened would become standard output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def close_quietly() -> None:
    """What a broken standard output still holds is thrown away, or Python would complain of it at its exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
