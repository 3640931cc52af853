"""Where a file is written to: links are followed, and pipes and devices are told apart from files."""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from qdiag.errors import WriteError
from qdiag.files.refusal import refusal
from qdiag.files.register import check_unread

STDOUT = "-"
_STDOUT_NAMES = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/proc/thread-self/fd/1")
_DESCRIPTOR = re.compile(r"/dev/fd/\d+|/dev/std(in|out|err)|/proc/[^/]+(/task/\d+)?/fd/\d+")
_LINKS_AT_MOST = 40


@dataclass(frozen=True, slots=True)
class Target:
    """Where bytes go.

    Attributes:
        path: behind all links.
        is_stream: a pipe, a device, or a file that somebody holds open: it is opened and written to. Otherwise a whole
            file takes its place.
    """

    path: Path
    is_stream: bool


def output_name(text: str) -> str:
    """`-` for the other names of standard output: whoever writes there must not print there as well."""
    return STDOUT if text in _STDOUT_NAMES else text


def check_writable(target: str | Path, *, over_input: bool = False) -> Target | None:
    """Finds out before a long run what would stop `write_file` after it.

    Args:
        over_input: a file that this run reads may be replaced: somebody asked for just that.

    Returns:
        Where it goes; None for standard output.

    Raises:
        WriteError: the folder is missing or closed, a folder or a socket has that name, or this run reads the file.
    """
    if str(target) == STDOUT:
        return None
    path = Path(target)
    if not over_input:
        check_unread(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        mode = None
    except (OSError, ValueError) as error:
        raise WriteError(f"it cannot be written: {_reason(error)}", at=str(path)) from error
    if mode is not None and stat.S_ISDIR(mode):
        raise WriteError(
            "this is a folder, not a file", at=str(path), hint="give the name of a file, in this folder or elsewhere"
        )
    if mode is not None and stat.S_ISSOCK(mode):
        raise WriteError("this is a socket, and no file can be written to one", at=str(path))
    final, is_descriptor = _followed(path)
    if is_descriptor or (mode is not None and not stat.S_ISREG(mode)):
        if not os.access(path, os.W_OK):
            raise WriteError("there is no permission to write to it", at=str(path))
        return Target(path, is_stream=True)
    if not final.parent.is_dir():
        raise WriteError("the folder does not exist", at=str(final.parent), hint=f"create it: mkdir -p {final.parent}")
    if not os.access(final.parent, os.W_OK):
        raise WriteError("there is no permission to write into the folder", at=str(final.parent))
    return Target(final, is_stream=False)


def check_new(target: str | Path, *, force: bool) -> None:
    """Networks, and what other programs read, take the place of a file where somebody asks for that alone.

    Raises:
        WriteError: there is such a file, and `force` is not set. Pipes and devices are no such files.
    """
    path = Path(target)
    if not force and str(target) != STDOUT and path.is_file():
        raise WriteError("there is such a file already", at=str(path), hint="give another name; `force` replaces it")


def _followed(path: Path) -> tuple[Path, bool]:
    """What a chain of links ends at, and whether it leads through an open file of a process.

    The last link of such a chain is a description (`pipe:[123]`) or the name of a file that is open, not a name to be
    replaced.
    """
    for _ in range(_LINKS_AT_MOST):
        if _DESCRIPTOR.fullmatch(str(path)):
            return path, True
        if not path.is_symlink():
            return path, False
        path = Path(os.path.normpath(path.parent.resolve() / path.readlink()))
    raise WriteError("it cannot be written: its symbolic links lead in a circle", at=str(path))


def _reason(error: Exception) -> str:
    return refusal(error)
