"""Settings of the process that are the CLI's to make, since the process is its own."""

import ctypes
import os
import platform
import time

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Numbers of glibc's mallopt."""
_KEEP_BYTES = 1 << 30
_SPIN_COUNT = "1000"
"""Rounds that an OpenMP thread waits for the others before it sleeps; libgomp's own choice is 300 times as many."""
_TIME_TO_SPEAK = 10.0
"""Seconds that a process which says nothing of an error waits; `torchrun` ends it as soon as the other one is done."""


def launched_rank() -> int:
    """Number of this process among those that `torchrun` started; 0 where it started none."""
    return int(os.environ.get("RANK", "0")) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def launched_count() -> int:
    """How many processes `torchrun` started, on all machines; 1 where it started none."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "TORCHELASTIC_RUN_ID" in os.environ else 1


def speaks_for(process: int | None) -> bool:
    """Whether this process prints an error.

    Args:
        process: the one that met it, of several that were joined. None: before that, when all processes of a machine
            meet the same; the first of them speaks.
    """
    if process is not None:
        return process == launched_rank()
    return launched_count() == 1 or os.environ.get("LOCAL_RANK", "0") == "0"


def let_the_other_speak(process: int | None) -> None:
    """Waits where another process prints an error: `torchrun` ends all of them when the first one ends.

    Args:
        process: see `speaks_for`.
    """
    if not speaks_for(process):
        time.sleep(_TIME_TO_SPEAK)


def prepare_process() -> None:
    """To be called before torch is imported, because its threads inherit what they find.

    - Freed memory stays with the process: handing each activation back to the system and asking for it again costs up
      to half of a forward pass in page faults. All threads share it: what one of them frees serves the others, too.
    - Denormal numbers count as zero: dead BatchNorm channels make them by the million, and each costs a hundred times
      an ordinary number.
    - Threads that wait for one another go to sleep soon. Where another process holds a core, threads that spin instead
      hold up the one they wait for: measuring one layer then took 4.8 s rather than 0.07 s, on two cores.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)
    import torch

    torch.set_flush_denormal(True)
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, 2 * _KEEP_BYTES - 1)
        mallopt(_M_ARENA_MAX, 1)
