"""Several processes that train one network together, as `torchrun` starts them.

Each has the whole network and all samples, and computes a part of every batch. Gradients are those of the whole batch:
each part's loss counts by its share of the samples, and the gradients of all parts are added. What a batch says of
BatchNorms and ranges is that of the whole batch too, so that all processes have the same numbers after every update.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from qdiag.batches import Batch
from qdiag.core.listed import count_noun
from qdiag.distributed.join import grouped
from qdiag.distributed.processes import is_lost
from qdiag.errors import ConfigError, QdiagError, SimulationError
from qdiag.simulate.passes.batch_rows import rows

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """The processes of one training; one unless `torchrun` started more.

    Attributes:
        rank: number of this one, from 0 on. count: of all.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """The one that measures, prints and writes."""
        return self.rank == 0

    def part(self, batch: Batch) -> tuple[Batch, float]:
        """The samples of a batch that this process computes, every so manieth, and their share of all.

        Raises:
            ConfigError: there are fewer samples than processes.
        """
        if self.count == 1:
            return batch, 1.0
        total = batch.sample_count
        if total < self.count:
            raise ConfigError(
                f"{self.count} processes cannot share a batch of {count_noun(total, 'sample')}",
                at="`train_batch`",
                hint="use fewer processes",
            )
        own = range(self.rank, total, self.count)
        return rows(batch, own), len(own) / total

    def total(self, x: Tensor) -> Tensor:
        """Sum over all processes, the same in each, with its derivative."""
        return x if self.count == 1 else _Total.apply(x)  # type: ignore[no-untyped-call]

    def extremes(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Smallest and largest of all processes, shape () each; without derivatives. NaN in one is NaN in all."""
        if self.count == 1:
            return low, high
        ends = torch.stack([-low, high])
        found = torch.cat([torch.where(ends.isnan(), 0.0, ends), ends.isnan().to(ends.dtype)])
        dist.all_reduce(found, dist.ReduceOp.MAX)
        least, most = torch.where(found[2:] > 0.0, torch.nan, found[:2])
        return -least, most

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Each gradient becomes its sum over all processes."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        for dtype in sorted({gradient.dtype for gradient in gradients}, key=str):
            own = [gradient for gradient in gradients if gradient.dtype == dtype]
            joined = torch.cat([gradient.flatten() for gradient in own])
            dist.all_reduce(joined)
            for gradient, value in zip(own, torch.split(joined, [g.numel() for g in own]), strict=True):
                gradient.copy_(value.view(gradient.shape))

    def equalize(self, tensors: Iterable[Tensor]) -> None:
        """Each tensor of floats becomes that of the first process."""
        if self.count > 1:
            for tensor in (one for one in tensors if one.is_floating_point()):
                value = tensor.detach().contiguous()
                dist.broadcast(value, 0)
                with torch.no_grad():
                    tensor.copy_(value)

    def of_first(self, value: T) -> T:
        """What the first process has, in all of them."""
        if self.count == 1:
            return value
        held: list[Any] = [value]
        dist.broadcast_object_list(held, 0)
        found: T = held[0]
        return found

    def check_alike(self, key: str, what: str) -> None:
        """Raises `ConfigError` in every process where one has another key than the first."""
        if self.count > 1:
            found: list[Any] = [None] * self.count
            dist.all_gather_object(found, key)
            if others := [rank for rank, other in enumerate(found) if other != found[0]]:
                raise ConfigError(f"{what} of process {others[0]} differ from those of the first process")


ONE = Processes()


class _Total(torch.autograd.Function):
    """The losses of all processes are added, so a sum passes the gradients of all of them back."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        del ctx
        found = x.detach().clone(memory_format=torch.contiguous_format)
        dist.all_reduce(found)
        return found

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> Tensor:
        del ctx
        found = gradients[0].clone(memory_format=torch.contiguous_format)
        dist.all_reduce(found)
        return found


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """This process beside the others that `torchrun` started; one process otherwise. See `grouped`.

    Raises:
        ConfigError: there are fewer GPUs than processes on this machine.
        SimulationError: another process ended early, for a reason that it tells itself.
    """
    with grouped(device) as group:
        processes = Processes(group.rank, group.count)
        try:
            yield processes
            processes.of_first(None)  # the others wait until the first one is done
        except QdiagError as error:
            error.process = processes.rank if processes.count > 1 else None
            raise
        except RuntimeError as error:
            if not is_lost(error):
                raise
            lost = SimulationError("another process ended", hint="it says why")
            lost.process = processes.rank
            raise lost from error
