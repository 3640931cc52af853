"""Agreement with the boxes of the float network."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.measures.task import Criterion, Figure
from qdiag.simulate.task.base import Gain, RowTask, Table
from qdiag.simulate.task.boxes.found import Found, areas, hits
from qdiag.simulate.task.boxes.reader import BoxReader
from qdiag.simulate.task.sums import sums_figure, sums_gain

CONFIDENT = 0.25
"""Boxes with a higher score are shown to users (Ultralytics' default), and are to agree with the float network's."""
_HALF = np.array([0.5])


@dataclass(frozen=True)
class BoxAgreement(RowTask):
    """F1 over all images of the confident boxes, held against those of the float network.

    A box agrees with one of the same class that it overlaps by one half or more; each has one partner at most.
    """

    reader: BoxReader

    @property
    def criterion(self) -> Criterion:
        return Criterion("box agreement", limit=5.0, is_against_float=True)

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """Boxes that agree, and boxes of both networks, (N, 2)."""
        del batch
        pairs = zip(self.reader.found(outputs), self.reader.found(reference), strict=True)
        return torch.tensor([_agreeing(_sure(one), _sure(other)) for one, other in pairs], dtype=torch.float64)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        count = simulated[:, 1].sum() / 2.0
        return sums_figure(self.criterion, _f1, reference=reference, simulated=simulated, unit_count=count)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return sums_gain(self.criterion, _f1, before=before, after=after, unit_count=after[:, 1].sum() / 2.0)


def _sure(found: Found) -> Found:
    """An empty box overlaps not even itself, and is left out."""
    return found.chosen((found.scores > CONFIDENT) & (areas(found.boxes) > 0.0))


def _agreeing(one: Found, other: Found) -> tuple[float, float]:
    right = hits(one, other.boxes, other.labels, _HALF)
    return float(right.sum()), float(len(one.scores) + len(other.scores))


def _f1(sums: Table) -> Table:
    """Percent; without a box in either network nothing differs."""
    both, total = sums[:, 0], sums[:, 1]
    share: Table = np.where(total > 0.0, 200.0 * both / np.maximum(total, 1.0), 100.0)
    return share
