"""What receives the outputs of a pass, what is counted beside it, and what is kept of it for passes that follow.

What the float network gives for a batch is the same in every pass, so that it need not run again.
"""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from qdiag.batches import Batch, Batches
from qdiag.core.by_identity import ByIdentity
from qdiag.distributed.collector import Collector
from qdiag.distributed.processes import ONE, Processes
from qdiag.errors import SimulationError
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.lanes import pick
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.spread import SpreadBatches, identity, spread_over

MOST_BYTES = 1 << 26
"""For the outputs of all networks and batches; what does not fit is computed anew in each pass."""

Outputs = tuple[Any, ...]


class BatchSink(Protocol):
    """Receives the outputs of each batch."""

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        """Flat outputs of the reference and of one other lane."""


@dataclass
class OperationCounts(Collector):
    """Operations that were run, and those whose result was at hand."""

    carried = ("computed_count", "reused_count")
    computed_count: int = 0
    reused_count: int = 0

    def merge(self, later: "OperationCounts") -> None:
        """See `Collector`."""
        self.computed_count += later.computed_count
        self.reused_count += later.reused_count


def hand_over(batch: Batch, outputs: Outputs, reference: Outputs, sinks: Mapping[int, Sequence[BatchSink]]) -> None:
    """Gives the outputs of each lane to its sinks, beside those of the reference."""
    for lane, receivers in sinks.items():
        simulated = pick(outputs, lane)
        check_shapes(reference, simulated)
        for sink in receivers:
            sink.add(batch, reference=reference, simulated=simulated)


def collectors_of(heads: Sequence[object]) -> list[Collector]:
    """All that collect something, of those that look on and those that receive outputs."""
    found: list[Collector] = []
    for head in heads:
        assert isinstance(head, Collector), f"what a {type(head).__name__} collects cannot be put together"
        found += head.collectors()
    return found


def check_shapes(reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
    """Whether outputs can be compared.

    Raises:
        SimulationError: two have different shapes.
    """
    for i, (one, other) in enumerate(zip(reference, simulated, strict=True)):
        if isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape != other.shape:
            raise SimulationError(
                f"quantized it has the shape {tuple(other.shape)}, in float {tuple(one.shape)}, and the two cannot be "
                "compared: how many values there are depends on the values",
                at=f"output {i}",
                hint="measure the part before the values are chosen, with `submodule`",
            )


class KeptOutputs:
    """The outputs of one network on some batches.

    Args:
        held: by number of the batch in the whole data set. ends: how many batches there are, once that is known.
        numbers: of these batches there; None for all of them.
        room: bytes that are left, in a list of one.
    """

    def __init__(
        self, held: dict[int, Outputs], ends: list[int], numbers: Sequence[int] | None, room: list[int]
    ) -> None:
        self._held, self._ends, self._numbers, self._room = held, ends, numbers, room

    @property
    def is_complete(self) -> bool:
        """Every batch is held."""
        numbers = self._numbers if self._numbers is not None else range(self._ends[0]) if self._ends else [-1]
        return all(number in self._held for number in numbers)

    def get(self, position: int) -> Outputs | None:
        """Of the batch at this position of the pass; None where it is not held."""
        return self._held.get(self._number(position))

    def keep(self, position: int, outputs: Outputs) -> None:
        """Holds the outputs of a batch, where there is room."""
        size = _bytes(outputs)
        if size <= self._room[0]:
            self._room[0] -= size
            self._held[self._number(position)] = tuple(
                x.detach().clone() if isinstance(x, Tensor) else x for x in outputs
            )

    def ended(self, count: int) -> None:
        """There were so many batches in the pass."""
        if self._numbers is None and not self._ends:
            self._ends.append(count)

    def _number(self, position: int) -> int:
        return position if self._numbers is None else self._numbers[position]


class ReferenceOutputs:
    """The outputs of networks, by the network or by its plan, for as long as these live."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._room, self._most_bytes = [most_bytes], most_bytes
        self._known: ByIdentity[dict[tuple[int, int], tuple[Batches, dict[int, Outputs], list[int]]]] = ByIdentity()

    @property
    def is_full(self) -> bool:
        """As good as: what comes may find no place."""
        return self._room[0] < self._most_bytes // 4

    def of(self, network: Network | QuantPlan, batches: Batches, processes: Processes = ONE) -> KeptOutputs:
        """What is held of a network, or of one under a plan, on a data set, or on some batches of it.

        Args:
            processes: that divide the batches of a pass; each holds those that it runs, which are others of a data set
                than of some of its batches.
        """
        whole, numbers = batches, None
        if isinstance(batches, SpreadBatches) and processes.count == 1:
            whole, numbers = batches.inner, sorted(spread_over(batches.inner, batches.most))
        rows = self._known.once(network, dict)
        if identity(whole) not in rows:
            # the batches are held too, so that no others get their identity
            rows[identity(whole)] = (whole, {}, [])
            weakref.finalize(network, _give_back, rows[identity(whole)][1], self._room)
        _, held, ends = rows[identity(whole)]
        return KeptOutputs(held, ends, numbers, self._room)


def _bytes(outputs: Outputs) -> int:
    return sum(x.numel() * x.element_size() for x in outputs if isinstance(x, Tensor))


def _give_back(held: Mapping[int, Outputs], room: list[int]) -> None:
    """What the outputs of a network took that is gone."""
    room[0] += sum(map(_bytes, held.values()))
