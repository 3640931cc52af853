"""What is said where a process ended without a word."""

import os
from contextlib import suppress
from datetime import timedelta

from torch.distributed import TCPStore  # type: ignore[attr-defined]

from qdiag.errors import SimulationError

_STORE_PATIENCE = timedelta(seconds=5)
_NOBODY = -1


def lost(rank: int) -> SimulationError:
    """The error of a process that misses another one; one of those that are left says it."""
    error = SimulationError(
        "another process ended, and without its part there is no result",
        hint="what torchrun prints says which one, and how it ended; memory may have run out",
    )
    error.process = rank if _is_first_to_say() else _NOBODY
    return error


def _is_first_to_say() -> bool:
    """By the store of torchrun, which outlives processes; where nobody can be asked, all of them say it."""
    with suppress(Exception):
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(*place, is_master=False, timeout=_STORE_PATIENCE)
        return bool(store.add(f"qdiag/lost/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", 1) == 1)
    return True
