"""Reading a file in a child process first, where a crash, a hang or a flood of memory is an error and not the end.

torch's readers are written in C++, and a damaged file can make them fail in ways that Python cannot catch. The child
is a fork of this process: it has torch already, and the same bytes. What it reads is thrown away with it; when it came
through, the caller reads the file itself.
"""

import contextlib
import faulthandler
import io
import os
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from qdiag.errors import LoadError, QdiagError, is_out_of_memory

SECONDS_MAX, BYTES_PER_SECOND = 120.0, 10 << 20
"""Time that a reader may take: so much, and a second more for every 10 MiB."""
RUN_SECONDS_MAX = 300.0
MEMORY_BYTES_MIN, MEMORY_FACTOR = 2 << 30, 8
"""Memory that a reader may ask for beyond what this process has: so much, or so many times the size of the file."""

_READ, _NO_MEMORY = 0, 3
_DAMAGED_HINT = "it is damaged or made to do so; copy or save it again"


@dataclass(frozen=True)
class Limits:
    """What a reader may use."""

    seconds: float
    memory_bytes: int

    @classmethod
    def of_file(cls, byte_count: int) -> "Limits":
        return cls(SECONDS_MAX + byte_count / BYTES_PER_SECOND, max(MEMORY_BYTES_MIN, MEMORY_FACTOR * byte_count))

    @classmethod
    def of_run(cls) -> "Limits":
        """Of a network on two samples: as much memory again as the machine has."""
        return cls(RUN_SECONDS_MAX, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if can_probe() else 0)


def can_probe() -> bool:
    """Whether this system can read in a child process first."""
    return hasattr(os, "fork") and sys.platform != "darwin"


def probe(
    read: Callable[[], object],
    *,
    byte_count: int = 0,
    limits: Limits | None = None,
    at: str,
    error: type[QdiagError] = LoadError,
    deed: str = "reading it",
    hint: str = _DAMAGED_HINT,
) -> None:
    """Calls `read` in a child process. Errors that it raises there are left to the caller's own reading.

    Systems without `fork` go without it.

    Args:
        byte_count: size of what is read, from which the limits follow. limits: others than these.
        error: the kind to raise. deed: what is done there, in its message. hint: what to do about it.

    Raises:
        LoadError, or `error`: the child crashed, did not end in time, or asked for too much memory.
    """
    if not can_probe():
        return
    limits = limits or Limits.of_file(byte_count)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    with warnings.catch_warnings():
        # Python warns of forks beside threads. The child reads a file with one thread and ends, as workers of
        # torch's DataLoader do.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _run(read, limits)
    status = _wait(child, limits.seconds)
    if status is None:
        raise error(f"{deed} did not end within {limits.seconds:.0f} s", at=at, hint=hint)
    if os.WIFSIGNALED(status):
        raise error(f"{deed} crashed torch ({signal.Signals(os.WTERMSIG(status)).name})", at=at, hint=hint)
    if os.WEXITSTATUS(status) == _NO_MEMORY:
        raise error(f"{deed} asks for more than {limits.memory_bytes >> 20} MiB of memory", at=at, hint=hint)


def _run(read: Callable[[], object], limits: Limits) -> None:
    """In the child: never returns, and leaves nothing behind."""
    import resource  # no module of Windows

    code = _READ
    try:
        faulthandler.disable()  # the parent tells of a crash, in one line
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle, which then ends this one
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        sys.stdout = sys.stderr = io.StringIO()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _limit_memory(limits.memory_bytes)
        torch.set_num_threads(1)  # the parent's threads are not here
        read()
    except MemoryError:
        code = _NO_MEMORY
    except BaseException as problem:
        code = _NO_MEMORY if _is_of_memory(problem) else _READ
    finally:
        os._exit(code)


def _limit_memory(extra: int) -> None:
    import resource

    try:
        used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    except OSError:  # no Linux
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = used + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _is_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if is_out_of_memory(error):
            return True
        error = error.__cause__
    return False


def _wait(child: int, seconds: float) -> int | None:
    """The child's status; None where it had to be ended."""
    end = time.monotonic() + seconds
    pause = 0.001
    try:
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
            select.select([], [], [], pause)
            pause = min(pause * 1.5, 0.05)
    except BaseException:
        _end(child)
        raise
    _end(child)
    return None


def _end(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)
