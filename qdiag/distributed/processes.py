"""The processes of one run, and what they tell each other."""

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch.distributed as dist
from torch import Tensor

from qdiag.distributed.lost import lost
from qdiag.errors import ConfigError, Ended, Left, QdiagError, first_line

T = TypeVar("T")

_THE_END = "the end"
"""At which a process is done, or cannot go on."""
_HINT = "start all processes with the same command, files and versions, on machines of one kind"


@dataclass(frozen=True)
class _Message:
    """What one process tells all others; what it cannot do ends all of them."""

    about: str
    content: bytes = b""
    key: str = ""
    error: QdiagError | None = None


@dataclass(frozen=True)
class Processes:
    """The processes that run the same command on the same data; one unless `torchrun` started more.

    All of them do the same, decide the same, and have the same numbers; what differs is the batches that each runs.

    Attributes:
        rank: number of this one, from 0 on. count: of all.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """The one that prints and writes."""
        return self.rank == 0

    def share(self, total: int) -> range:
        """The numbers of the batches that this process runs: as many as the others, one after another."""
        return range(self.rank * total // self.count, (self.rank + 1) * total // self.count)

    def gathered(self, value: T, about: str, error: Exception | None = None) -> list[T]:
        """What all processes have, in their order, the same in each; tensors come on the CPU.

        Args:
            about: what it is; equal in all processes that do the same.

            error: why this process has no value.

        Raises:
            QdiagError: the first error of them, the same in all. Ended: one of them cannot go on.
        """
        if self.count == 1:
            return [value]
        own = _Message(about, _bytes(value)) if error is None else _Message(about, error=_told(error))
        return [pickle.loads(one.content) for one in self._exchanged(own)]

    def of_first(self, value: T, about: str, key: str) -> T:
        """What the first process has, in all of them.

        Args:
            about, key: see `gathered` and `check_alike`.
        """
        if self.count == 1:
            return value
        first, *_ = self._exchanged(_Message(about, _bytes(value) if self.is_first else b"", key))
        found: T = pickle.loads(first.content)
        return found

    def check_alike(self, key: str) -> None:
        """Ends all processes where one has another key than the first.

        Args:
            key: of all that decides what they find.
        """
        if self.count > 1:
            self._exchanged(_Message("the beginning", key=key))

    def tell(self, error: Exception) -> QdiagError:
        """Tells all others why this process cannot go on; gives the error of the first one that cannot."""
        try:
            self._exchanged(_Message(_THE_END, error=_told(error)))
        except Ended as ended:
            return ended.error
        raise AssertionError("an error that was told comes back")

    def wait(self) -> None:
        """Until all processes are done.

        Raises:
            Ended: one of them cannot go on.
        """
        if self.count > 1:
            self._exchanged(_Message(_THE_END))

    def leave_to_first(self) -> None:
        """Raises `Left` in all processes but the first."""
        if not self.is_first:
            raise Left

    def _exchanged(self, own: _Message) -> Sequence[_Message]:
        found: list[Any] = [None] * self.count
        try:
            dist.all_gather_object(found, own)
        except RuntimeError as error:
            if not is_lost(error):
                raise
            raise Ended(lost(self.rank)) from error
        for rank, message in enumerate(found):
            if message.error is not None:
                message.error.process = rank
                if message.about == _THE_END:
                    raise Ended(message.error)
        self._check(found)
        for message in found:
            if message.error is not None:
                raise message.error
        return found

    def _check(self, found: Sequence[_Message]) -> None:
        """Whether all processes do the same, which ends them where they do not."""
        first = found[0]
        for rank, message in enumerate(found):
            if message.about != first.about:
                raise _ended(f"the first process is at {first.about!r}, and process {rank} at {message.about!r}")
            if message.key != first.key:
                raise _ended(f"network, data or settings of process {rank} differ from those of the first process")


ONE = Processes()


def is_lost(error: Exception) -> bool:
    """The connection to another process ended."""
    return isinstance(error, RuntimeError) and (isinstance(error, dist.DistError) or "onnection" in str(error))


def _ended(fact: str) -> Ended:
    error = ConfigError(fact, hint=_HINT)
    error.process = 0
    return Ended(error)


def _told(error: Exception) -> QdiagError:
    return error if isinstance(error, QdiagError) else QdiagError(first_line(error))


class _Pickler(pickle.Pickler):
    """Tensors leave the device of their process."""

    def reducer_override(self, obj: Any) -> Any:
        """See `pickle.Pickler`."""
        if isinstance(obj, Tensor) and obj.device.type != "cpu":
            return obj.detach().cpu().__reduce_ex__(pickle.HIGHEST_PROTOCOL)  # type: ignore[no-untyped-call]
        return NotImplemented


def _bytes(value: object) -> bytes:
    file = io.BytesIO()
    _Pickler(file, pickle.HIGHEST_PROTOCOL).dump(value)
    return file.getvalue()
