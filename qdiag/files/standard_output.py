"""Standard output is for results alone: what a network prints while it is built or run goes to standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_kept: list[TextIO] = []


def results_stream() -> TextIO:
    """Where results go, inside and outside of `prints_to_stderr`."""
    return _kept[-1] if _kept else sys.stdout


@contextmanager
def prints_to_stderr() -> Iterator[None]:
    """Inside the block, `print` of code that is not our own writes to standard error."""
    before = sys.stdout
    _kept.append(results_stream())
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = before
        _kept.pop()
