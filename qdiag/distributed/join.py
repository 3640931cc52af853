"""Processes that `torchrun` started, joined for one run, and what becomes of them when one of them cannot go on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from qdiag.distributed.processes import ONE, Processes
from qdiag.errors import ConfigError, Ended, Left, QdiagError

_PATIENCE = timedelta(hours=12)
"""The first process writes while the others wait; where one ends, so does the connection, and `torchrun` ends all."""


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """This process beside the others that `torchrun` started; one process otherwise.

    Inside, an error of one process ends all of them: it is told at the next moment at which they exchange something,
    and every process raises the error of the first one that cannot go on. `QdiagError.process` says which that is.
    The block ends when all processes are done.

    Raises:
        ConfigError: there are fewer GPUs than processes on this machine.
        SimulationError: another process ended without a word.
    """
    with grouped(device) as processes:
        if processes.count == 1:
            yield processes
            return
        try:
            try:
                yield processes
            except Left:
                processes.wait()
                raise
            processes.wait()
        except Ended as ended:
            raise ended.error from ended
        except Left:
            raise
        except Exception as error:
            if isinstance(error, QdiagError) and error.process is not None:
                raise  # all have met it
            first = processes.tell(error)
            if first.process != processes.rank:
                raise first from error
            error.process = processes.rank  # type: ignore[attr-defined]
            raise


@contextmanager
def grouped(device: torch.device) -> Iterator[Processes]:
    """The processes as a group of torch; a group that there is already is used.

    On GPUs each process takes that of its local rank as the current one.

    Raises:
        ConfigError: there are fewer GPUs than processes on this machine.
    """
    if not dist.is_torchelastic_launched():
        yield ONE
        return
    is_first_time = not dist.is_initialized()
    if is_first_time:
        _join(device)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    finally:
        if is_first_time:
            dist.destroy_process_group()


def _join(device: torch.device) -> None:
    backend = "gloo"
    if device.type == "cuda":
        place, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if place >= there:
            raise ConfigError(f"process {place + 1} of this machine has no GPU: there are {there}", at="device")
        torch.cuda.set_device(place)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_PATIENCE)
