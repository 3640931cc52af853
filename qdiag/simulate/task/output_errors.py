"""The error at the outputs of the network."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.measures.measurement import OutputRecord
from qdiag.numerics.error_accumulator import ErrorAccumulator


@dataclass
class OutputErrors:
    """Adds up the error at every float output of the network."""

    names: tuple[str, ...]
    _errors: dict[int, ErrorAccumulator] = field(default_factory=dict)
    _shapes: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        """Adds the outputs of one batch."""
        del batch
        for i, (r, s) in enumerate(zip(reference, simulated, strict=True)):
            if isinstance(r, Tensor) and r.is_floating_point():
                self._errors.setdefault(i, ErrorAccumulator()).add(reference=r, simulated=[s])
                self._shapes[i] = tuple(r.shape[1:])

    def records(self) -> tuple[OutputRecord, ...]:
        """One record per float output."""
        return tuple(OutputRecord(self.names[i], self._shapes[i], e.sums()[0]) for i, e in self._errors.items())
