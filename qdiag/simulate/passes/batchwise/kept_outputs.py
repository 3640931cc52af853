"""What networks gave for the batches of a data set, kept for passes that follow.

What a network gives for a batch is the same in every pass, so that it need not run again.
"""

import weakref
from collections.abc import Mapping, Sequence

from torch import Tensor

from qdiag.batches import Batches
from qdiag.core.by_identity import ByIdentity
from qdiag.core.measures.measurement import OutputRecord
from qdiag.distributed.batch_sizes import batch_count
from qdiag.distributed.processes import ONE, Processes
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.sinks import Outputs
from qdiag.simulate.passes.spread import SpreadBatches, identity

MOST_BYTES = 1 << 26
"""For the outputs of all networks and batches; what does not fit is computed anew in each pass."""
_VALUE_BYTES = 4


class KeptOutputs:
    """The outputs of one network on some batches.

    Args:
        held: by number of the batch in the whole data set. ends: how many batches this process runs of the whole data
            set, once that is known.
        numbers: of these batches there; None for all that this process runs of the whole data set, from `start` on.
        room: bytes that are left, in a list of one.
    """

    def __init__(
        self,
        held: dict[int, Outputs],
        ends: list[int],
        numbers: Sequence[int] | None,
        room: list[float],
        start: int = 0,
    ) -> None:
        self._held, self._ends, self._numbers, self._room, self._start = held, ends, numbers, room, start

    @property
    def is_complete(self) -> bool:
        """Every batch is held."""
        if self._numbers is not None:
            return all(number in self._held for number in self._numbers)
        return bool(self._ends) and all(self._start + i in self._held for i in range(self._ends[0]))

    def get(self, position: int) -> Outputs | None:
        """Of the batch at this position of the pass; None where it is not held."""
        return self._held.get(self.number(position))

    def keep(self, position: int, outputs: Outputs) -> None:
        """Holds the outputs of a batch, where there is room."""
        size = _bytes(outputs)
        if size <= self._room[0]:
            self._room[0] -= size
            self._held[self.number(position)] = tuple(
                x.detach().clone() if isinstance(x, Tensor) else x for x in outputs
            )

    def ended(self, count: int) -> None:
        """There were so many batches in the pass."""
        if self._numbers is None and not self._ends:
            self._ends.append(count)

    def number(self, position: int) -> int:
        """Of the batch at this position of the pass, in the whole data set."""
        return self._start + position if self._numbers is None else self._numbers[position]


class ReferenceOutputs:
    """The outputs of networks, by the network or by its plan, for as long as these live."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._room = [float(most_bytes)]
        self._known: ByIdentity[dict[tuple[int, int], tuple[Batches, dict[int, Outputs], list[int]]]] = ByIdentity()

    def of(self, network: Network | QuantPlan, batches: Batches, processes: Processes = ONE) -> KeptOutputs:
        """What is held of a network, or of one under a plan, on a data set, or on some batches of it.

        Args:
            processes: that divide the batches of a pass; each holds those that it runs.
        """
        whole, numbers = _numbered(batches)
        rows = self._known.once(network, dict)
        if identity(whole) not in rows:
            # the batches are held too, so that no others get their identity
            rows[identity(whole)] = (whole, {}, [])
            weakref.finalize(network, _give_back, rows[identity(whole)][1], self._room)
        _, held, ends = rows[identity(whole)]
        if processes.count == 1:
            return KeptOutputs(held, ends, numbers, self._room)
        own = processes.share(batch_count(batches)) or range(1)
        if numbers is not None:
            return KeptOutputs(held, ends, numbers[own.start : own.stop], self._room)
        return KeptOutputs(held, ends, None, self._room, own.start)


class ScoredBatches:
    """Batches of which a run wanted the outputs of quantized networks to be held, whether or not this process has them.

    What is run on which samples depends on it, so that it is the same whoever ran the batches: this process, another
    one, or an earlier run whose figures were found in the cache.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._left, self._most_bytes = [float(most_bytes)], most_bytes
        self._known: ByIdentity[dict[tuple[int, int], tuple[Batches, set[int]]]] = ByIdentity()

    def has_room(self, processes: Processes = ONE) -> bool:
        """What further networks give can be held as far as one knows; the same in all processes."""
        return processes.of_first(self._left[0] >= self._most_bytes // 4, "room", "")

    def add(self, plan: QuantPlan, batches: Batches, outputs: Sequence[OutputRecord]) -> None:
        """Notes the batches of a data set, or of some of it, with what was measured at the float outputs there."""
        whole, numbers = _numbered(batches)
        rows = self._known.once(plan, dict)
        _, known = rows.setdefault(identity(whole), (whole, set()))
        new = set(range(batch_count(whole)) if numbers is None else numbers) - known
        known |= new
        taken = sum(output.error.count for output in outputs) * _VALUE_BYTES * len(new) / max(batch_count(batches), 1)
        self._left[0] -= taken
        weakref.finalize(plan, _add, self._left, taken)

    def has_all(self, plan: QuantPlan, batches: Batches) -> bool:
        """All batches of a data set, or of some of it, were noted."""
        whole, numbers = _numbered(batches)
        row = (self._known.get(plan) or {}).get(identity(whole))
        return row is not None and row[1].issuperset(range(batch_count(whole)) if numbers is None else numbers)


def _numbered(batches: Batches) -> tuple[Batches, list[int] | None]:
    """The whole data set, and the numbers of these batches in it; None for all."""
    if isinstance(batches, SpreadBatches):
        return batches.inner, batches.numbers
    return batches, None


def _bytes(outputs: Outputs) -> int:
    return sum(x.numel() * x.element_size() for x in outputs if isinstance(x, Tensor))


def _give_back(held: Mapping[int, Outputs], room: list[float]) -> None:
    """What the outputs of a network took that is gone."""
    _add(room, sum(map(_bytes, held.values())))


def _add(room: list[float], size: float) -> None:
    room[0] += size
