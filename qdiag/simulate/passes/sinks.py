"""What receives the outputs of a pass, and what is counted beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from qdiag.batches import Batch
from qdiag.distributed.collector import Collector
from qdiag.errors import SimulationError


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
