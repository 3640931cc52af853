"""The exception family.

    QdiagError                what the CLI turns into one message and exit code 2
    ├── ConfigError           a scheme, a TOML file or an option that does not make sense
    ├── LoadError             a model file that cannot be read
    │   └── UntrustedError    reading it would execute a pickle, and nobody said --trust
    ├── DataError             images, arrays or labels that cannot be used
    │   └── TargetError       what one sample is judged by
    ├── CaptureError          a network that cannot be turned into one graph
    ├── CalibrationError      statistics from which no scale can be made
    ├── SimulationError       a graph that cannot be run
    │   └── DivergedError     a training whose numbers are not finite any more
    ├── RepairRefused         a repair that cannot or must not be done here; a row in the result, not the end of a run
    └── WriteError            a file that cannot be written

Inner code raises the short fact; the outer function adds where (`at`) and what to do (`hint`).
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CHARACTERS_AT_MOST = 300


def first_line(error: BaseException, *, with_type: bool = True) -> str:
    """What a foreign exception says, as one line: torch's messages are often a page long.

    Args:
        with_type: the name of the exception stands behind it; it stands alone where there is no message.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = type(error).__name__
    if not lines:
        return kind
    line = lines[0][:_CHARACTERS_AT_MOST]
    return f"{line} ({kind})" if with_type else line


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on whichever device; torch says so in several ways."""
    told = ("out of memory", "allocate memory", "not enough memory", "bad_alloc")
    return isinstance(error, MemoryError) or any(words in str(error) for words in told)


class QdiagError(Exception):
    """A fact for the user.

    Args:
        message: what is wrong, one sentence, without a full stop.
        at: where: a file, a layer, an option.
        hint: what to do about it.

    Attributes:
        process: number of the process that met it, of several that were joined; None elsewhere.
    """

    def __init__(self, message: str, *, at: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.hint = hint
        self.process: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """For other processes: the arguments of a subclass may be others than those of its message."""
        return _rebuilt, (type(self), self.message, self.__dict__)

    def __str__(self) -> str:
        where = f"{self.at}: " if self.at else ""
        return f"{where}{self.message}"


def _rebuilt(kind: type[QdiagError], message: str, state: dict[str, Any]) -> QdiagError:
    error = kind.__new__(kind, message)
    error.__dict__.update(state)
    return error


@contextmanager
def telling_hints() -> Iterator[None]:
    """Inside, an error that leaves for a caller in Python carries its hint as a note, which tracebacks show.

    Python 3.10 has no notes; the hint is then in `error.hint` alone.
    """
    try:
        yield
    except QdiagError as error:
        note = f"hint: {error.hint}"
        if error.hint and sys.version_info >= (3, 11) and note not in getattr(error, "__notes__", ()):
            error.add_note(note)
        raise


class ConfigError(QdiagError):
    """A scheme, a TOML file or an option that does not make sense."""


class LoadError(QdiagError):
    """A model file that cannot be read."""


class UntrustedError(LoadError):
    """Reading the file would execute a pickle, and nobody said `--trust`."""


class DataError(QdiagError):
    """Images, arrays or labels that cannot be used."""


class TargetError(DataError):
    """What one sample is judged by cannot be used.

    Attributes:
        sample: its position in the batch, or among all samples where whoever passes the error on knows that.
    """

    def __init__(self, message: str, *, sample: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.sample = sample


class CaptureError(QdiagError):
    """A network that cannot be turned into one graph."""


class CalibrationError(QdiagError):
    """Statistics from which no scale can be made."""


class SimulationError(QdiagError):
    """A graph that cannot be run."""


class DivergedError(SimulationError):
    """A training whose loss or weights are not finite any more."""


class RepairRefused(QdiagError):  # noqa: N818 - not a failure: the repair says no, and why
    """A repair that cannot or must not be done here; a row in the result, not the end of a run."""


class WriteError(QdiagError):
    """A file that cannot be written."""


class Ended(BaseException):
    """Another process of several cannot go on, and so none can; whoever goes on after errors may not do so here.

    Attributes:
        error: why.
    """

    def __init__(self, error: QdiagError) -> None:
        super().__init__(str(error))
        self.error = error


class Left(Exception):  # noqa: N818 - no failure: it has nothing more to do
    """One process of several is done, and the first one goes on: it prints and writes."""
