"""What lanes gave for each batch, kept so that no sample runs twice where the same networks are scored on more."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from qdiag.simulate.passes.batchwise.kept_outputs import KeptOutputs
from qdiag.simulate.passes.lanes import Lanes, pick
from qdiag.simulate.passes.sinks import Outputs


@dataclass
class LaneOutputs:
    """Of the lanes of one pass.

    Attributes:
        by_lane: what is held of each lane that receives outputs. reference: the same of the float network.
        is_read: batches whose outputs are all held are not run again; of these `numbers`, where not of all.
        is_kept: new outputs are held.
    """

    by_lane: Mapping[int, KeptOutputs]
    reference: KeptOutputs
    is_read: bool = True
    is_kept: bool = True
    numbers: Container[int] | None = None

    @property
    def is_complete(self) -> bool:
        """No batch has to run."""
        held = [self.reference, *self.by_lane.values()]
        return self.is_read and self.numbers is None and all(one.is_complete for one in held)

    def get(self, position: int) -> Outputs | None:
        """The outputs of all lanes for the batch at this position of the pass; None where one is not held."""
        is_read = self.is_read and (self.numbers is None or self.reference.number(position) in self.numbers)
        if not is_read or self.reference.get(position) is None:
            return None
        rows = {lane: kept.get(position) for lane, kept in self.by_lane.items()}
        held = {lane: row for lane, row in rows.items() if row is not None}
        if not held or len(held) < len(rows):
            return None
        return tuple(_joined(dict(zip(held, values, strict=True))) for values in zip(*held.values(), strict=True))

    def ran(self, position: int, outputs: Outputs) -> None:
        """A batch was run."""
        for lane, kept in self.by_lane.items() if self.is_kept else ():
            if kept.get(position) is None:
                kept.keep(position, pick(outputs, lane))

    def ended(self, count: int) -> None:
        """There were so many batches in the pass."""
        for kept in self.by_lane.values() if self.is_kept else ():
            kept.ended(count)


def _joined(by_lane: dict[int, Any]) -> Any:
    """One output as the pass gives it; lanes that nobody reads have none."""
    first = next(iter(by_lane.values()))
    if not isinstance(first, Tensor):
        return first
    return Lanes([by_lane.get(lane) for lane in range(max(by_lane) + 1)])
