"""Words and lines for a shell."""

import shlex
from collections.abc import Sequence

from qdiag.core.printable import is_printable

_ANSI_C = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def option(name: str, value: str) -> list[str]:
    """One word where the value would be taken for an option itself."""
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def command_line(words: Sequence[str]) -> str:
    """A command of this program, ready for a shell."""
    return " ".join(map(quoted, ["qdiag", *words]))


def as_told(line: str) -> str:
    """A line for a shell where no shell reads it: a comment without its mark."""
    return line.removeprefix("# ")


def quoted(word: str) -> str:
    """A word for a shell, on one line whatever it holds: `$'...'` where it has characters that do not print.

    That form is of POSIX.1-2024, and of bash, zsh and ksh long before.
    """
    if is_printable(word):
        return shlex.quote(word)
    body = "".join(_ANSI_C.get(c) or (c if is_printable(c) else _bytes_of(c)) for c in word)
    return f"$'{body}'"


def _bytes_of(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))


def as_argument(path: str) -> str:
    """A path that is not taken for an option."""
    return f"./{path}" if path.startswith("-") else path
