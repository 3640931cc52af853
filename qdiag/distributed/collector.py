"""What looks on while one process runs its batches, and how what all of them saw becomes one."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

from qdiag.distributed.processes import Processes


class Mergeable(Protocol):
    """A sum over data, to which another one of the same kind can be added."""

    def merge(self, later: Any, /) -> None:
        """Adds what another one saw of data that come after those of this one."""
        ...


M = TypeVar("M", bound=Mergeable)


class Collector:
    """Collects something batch by batch. What one collects of each part of the data can be put together.

    Attributes:
        carried: names of the attributes that hold what was collected, and go to other processes.
    """

    carried: ClassVar[tuple[str, ...]] = ()

    def begins_at(self, *, batch: int, sample: int) -> None:
        """The first batch that comes is number `batch` of the data, and its first sample number `sample`."""

    def collectors(self) -> Sequence["Collector"]:
        """Itself and others that it hands batches to."""
        return [self]

    @property
    def fits_threads(self) -> bool:
        """Copies of it can collect in several threads at the same time."""
        return True

    def merge(self, later: Any) -> None:
        """Adds what another one of its kind collected of later batches."""
        if self.carried:
            raise NotImplementedError(type(self).__name__)

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.carried}


def copies_of(heads: Sequence[Any]) -> list[Any]:
    """Copies of collectors, or of lists of them, that collect for themselves, as long as nothing was collected yet.

    What is carried is copied, and so are other collectors that they hand batches to; all else is shared.
    """
    made: dict[int, Any] = {}
    return [_copy_of(head, made) for head in heads]


def _copy_of(value: Any, made: dict[int, Any]) -> Any:
    if type(value) in (list, tuple):
        return type(value)(_copy_of(one, made) for one in value)
    if not isinstance(value, Collector):
        return value
    if id(value) not in made:
        made[id(value)] = other = object.__new__(type(value))
        for name, own in vars(value).items():
            other.__dict__[name] = copy.deepcopy(own) if name in value.carried else _copy_of(own, made)
    return made[id(value)]


def merge_by_name(own: dict[Any, M], later: Mapping[Any, M]) -> None:
    """Merges sums of the same name, and takes over the others."""
    for name, one in later.items():
        if name in own:
            own[name].merge(one)
        else:
            own[name] = one


def add_by_name(own: dict[Any, Any], later: Mapping[Any, Any]) -> None:
    """Adds numbers or tensors of the same name, and takes over the others."""
    for name, one in later.items():
        own[name] = own[name] + one if name in own else one


def put_together(
    processes: Processes,
    collectors: Sequence[Collector],
    *,
    about: str,
    is_idle: bool = False,
    error: Exception | None = None,
) -> None:
    """Every collector then holds what those of all processes collected, in the order of the batches.

    Args:
        about: the pass. is_idle: this process had no batches of its own, and what it collected does not count.
        error: that of this process.

    Raises:
        QdiagError: the first error among the processes, the same in all of them.
    """
    value = None if is_idle else list(collectors)
    parts = [part for part in processes.gathered(value, about, None if is_idle else error) if part is not None]
    whole = parts[0]
    for later in parts[1:]:
        for one, other in zip(whole, later, strict=True):
            one.merge(other)
    for own, one in zip(collectors, whole, strict=True):
        own.__dict__.update(one.__getstate__())
