"""All that collects something in one pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qdiag.distributed.collector import Collector, copies_of
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.sinks import BatchSink, OperationCounts, collectors_of


@dataclass(frozen=True)
class Heads:
    """What looks on, what receives outputs, by lane, with what these share, and what is counted."""

    observers: Sequence[LayerObserver]
    beside: Sequence[Collector]
    sinks: Mapping[int, Sequence[BatchSink]]
    effort: OperationCounts

    @property
    def all(self) -> list[object]:
        """In one order."""
        return [*self.observers, *self.beside, *(one for those in self.sinks.values() for one in those), self.effort]

    @property
    def fits_threads(self) -> bool:
        """Copies of all of them can collect in several threads."""
        heads = [one for one in self.all if isinstance(one, Collector)]
        return len(heads) == len(self.all) and all(one.fits_threads for one in collectors_of(heads))

    def copied(self) -> "Heads":
        """Copies that collect for themselves; to be made before anything is collected."""
        sinks = [list(those) for those in self.sinks.values()]
        observers, beside, received, (effort,) = copies_of(
            [list(self.observers), list(self.beside), sinks, [self.effort]]
        )
        return Heads(observers, beside, dict(zip(self.sinks, received, strict=True)), effort)

    def begin_at(self, batch: int, sample: int) -> None:
        """See `Collector.begins_at`."""
        for one in collectors_of(self.all):
            one.begins_at(batch=batch, sample=sample)

    def merge(self, later: "Heads") -> None:
        """Adds what others collected of later batches."""
        for one, other in zip(collectors_of(self.all), collectors_of(later.all), strict=True):
            one.merge(other)
