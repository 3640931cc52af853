"""Why code that a user brings failed: its own words, and the line where it happened."""

import sysconfig
import traceback
from pathlib import Path

from qdiag.errors import first_line
from qdiag.files.refusal import refusal

_NOT_THEIRS = tuple(
    str(Path(path).resolve())
    for path in (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), Path(__file__).parents[1])
)
"""Folders of Python, of installed packages, and of this one."""


def code_failure(error: BaseException) -> str:
    """`division by zero (ZeroDivisionError, line 3 of net.py)`, as one line; the last line that is the user's own."""
    message = first_line(error, with_type=False)
    if isinstance(error, OSError) and error.filename is not None:
        message = f"{error.filename} cannot be used: {refusal(error)}"
    elif isinstance(error, ModuleNotFoundError) and error.name:
        message = f"there is no Python module {error.name!r}"
    elif isinstance(error, KeyError) and error.args:
        message = f"there is no {error.args[0]!r}"
    elif isinstance(error, SyntaxError) and error.msg:
        message = error.msg
    kind = type(error).__name__
    details = ", ".join(([] if message == kind else [kind]) + _place(error))
    return f"{message} ({details})" if details else message


def _place(error: BaseException) -> list[str]:
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return [f"line {error.lineno} of {Path(error.filename).name}"]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith((*_NOT_THEIRS, "<")):
            return [f"line {frame.lineno} of {Path(frame.filename).name}"]
    return []
