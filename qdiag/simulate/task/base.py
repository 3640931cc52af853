"""What a network can be judged by: rows of numbers per sample, and what they add up to."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.measures.task import Criterion, Figure, Interval, PairedCounts
from qdiag.distributed.collector import Collector

Table = npt.NDArray[np.float64]
"""Rows of numbers, float64, from which a task makes its figure; nearly always one row per sample."""


@dataclass(frozen=True)
class Gain:
    """What one network has over another on the same samples, in the unit of changes; positive is better."""

    value: float
    interval: Interval
    pairs: PairedCounts | None = None


class Tally(Protocol):
    """Collects the answers of one network."""

    def add(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> None:
        """Adds one batch.

        Args:
            outputs: of the network. reference: of the float network; the same tuple for the float network itself.
        """
        ...

    def table(self) -> Table:
        """What was collected."""
        ...


class Task(Protocol):
    """One criterion, and how it comes from answers.

    Attributes:
        key: tells tasks apart, with everything that decides the numbers; None where they come from code that may
            change unnoticed, so that no pass that used it may be kept.
    """

    @property
    def criterion(self) -> Criterion: ...
    @property
    def key(self) -> Hashable | None: ...

    def tally(self) -> Tally:
        """An empty one, for one network."""
        ...

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        """The figure of both networks, with its interval."""
        ...

    def gain(self, *, before: Table, after: Table) -> Gain:
        """What `after` has over `before`, paired over the samples."""
        ...


class Rows(Protocol):
    """One row of numbers for each sample of a batch."""

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """Shape (N, K)."""
        ...


class RowTask(Rows, Protocol):
    """A task whose answers are rows of numbers, which its fields decide."""

    @property
    def key(self) -> Hashable | None:
        """See `Task`."""
        return type(self).__name__, self

    def tally(self) -> "RowTally":
        """See `Task`."""
        return RowTally(self)


@dataclass
class RowTally(Collector):
    """Collects rows; they stay on the device until `table` is called, so that no batch waits for another."""

    carried = ("_parts",)
    maker: Rows
    _parts: list[Tensor] = field(default_factory=list)

    def add(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> None:
        """Adds one batch."""
        self._parts.append(self.maker.rows(batch, outputs, reference))

    def merge(self, later: "RowTally") -> None:
        """See `Collector`."""
        self._parts = [*self._parts, *later._parts]

    def table(self) -> Table:
        """All rows, (N, K)."""
        if not self._parts:
            return np.zeros((0, 1))
        is_together = len({part.device for part in self._parts}) == 1
        parts = self._parts if is_together else [part.cpu() for part in self._parts]
        joined: Table = torch.cat(parts).cpu().numpy().astype(np.float64)
        return joined


def difference(criterion: Criterion, *, before: float, after: float) -> float:
    """What `after` has over `before`, positive when better; NaN is worse than any number."""
    if before == after or (np.isnan(before) and np.isnan(after)):
        return 0.0
    if np.isnan(before) or np.isnan(after):
        return float("inf") if np.isnan(before) else float("-inf")
    return after - before if criterion.higher_is_better else before - after
