"""What receives the outputs of a pass, and what is counted beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from qdiag.batches import Batch
from qdiag.distributed.collector import Collector
from qdiag.errors import SimulationError
from qdiag.simulate.passes.lanes import pick

Outputs = tuple[Any, ...]


class BatchSink(Protocol):
    """Receives the outputs of each batch."""

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        """Flat outputs of the reference and of one other lane."""


@dataclass
class OperationCounts(Collector):
    """Batches that were run, operations that were run for them, and those whose result was at hand."""

    carried = ("batch_count", "computed_count", "reused_count")
    batch_count: int = 0
    computed_count: int = 0
    reused_count: int = 0

    def merge(self, later: "OperationCounts") -> None:
        """See `Collector`."""
        self.batch_count += later.batch_count
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
