"""Words and lines for a shell: a POSIX one, and on Windows its own."""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from qdiag.core.printable import is_printable

_IS_WINDOWS = os.name == "nt"
_BARE = re.compile(r"[\w./\\:=,+@%-]+")
_OPTION = re.compile(r" (?=--?[A-Za-z])(?=(?:[^']*'[^']*')*[^']*$)")
"""Before an option, outside of quotes."""
_GOES_ON, _INDENT = " \\", "    "
_ANSI_C = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def option(name: str, value: str) -> list[str]:
    """One word where the value would be taken for an option itself."""
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def command_line(words: Sequence[str]) -> str:
    """A command of this program, ready for the user's shell; files below the working folder by their relative paths."""
    return " ".join(quoted(_near(word)) for word in ("qdiag", *words))


def wrapped(line: str, width: int) -> str:
    """A command over several lines, each with an option and its values, that a shell reads as one.

    A comment stays as it is, and so does every command on Windows, whose two shells go on in different ways.
    """
    is_plain = '"\'"' not in line and "$'" not in line  # quotes in quotes are left as they are
    if len(line) <= width or line.startswith("#") or _IS_WINDOWS or not is_plain:
        return line
    parts = option_groups(line)
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + len(part) + len(_GOES_ON) + 1 <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(f"{_INDENT}{part}")
    return f"{_GOES_ON}\n".join(lines)


def option_groups(line: str) -> list[str]:
    """The pieces of a command that belong together: its name with what it works on, and each option with its values."""
    return [line] if line.startswith("#") else _OPTION.split(line)


def _near(word: str) -> str:
    """A path below the working folder, from there."""
    path = Path(word)
    if not path.is_absolute() or not path.is_relative_to(Path.cwd()):
        return word
    near = path.relative_to(Path.cwd())
    return str(near) if near.parts else word


def as_told(line: str) -> str:
    """A line for a shell where no shell reads it: a comment without its mark."""
    return line.removeprefix("# ")


def quoted(word: str) -> str:
    """A word for a shell, on one line whatever it holds: `$'...'` where it has characters that do not print.

    That form is of POSIX.1-2024, and of bash, zsh and ksh long before. On Windows, double quotes stand around a word,
    which cmd and PowerShell read alike.
    """
    if _IS_WINDOWS:
        return _for_windows(word)
    if is_printable(word):
        return shlex.quote(word)
    body = "".join(_ANSI_C.get(c) or (c if is_printable(c) else _bytes_of(c)) for c in word)
    return f"$'{body}'"


def _for_windows(word: str) -> str:
    """As the C runtime takes a command line apart: a quote in a word stands behind a backslash."""
    if _BARE.fullmatch(word):
        return word
    inner = re.sub(r'(\\*)"', r'\1\1\\"', word)
    closed = re.sub(r"(\\+)$", r"\1\1", inner)
    return f'"{closed}"'


def _bytes_of(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))


def as_argument(path: str) -> str:
    """A path that is not taken for an option."""
    return f"./{path}" if path.startswith("-") else path
