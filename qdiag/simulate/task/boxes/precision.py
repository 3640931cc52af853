"""Average precision as COCO computes it, and agreement with the boxes of the float network."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.measures.task import Criterion, Figure
from qdiag.errors import DataError
from qdiag.simulate.task.base import Gain, RowTally, Table
from qdiag.simulate.task.boxes.found import THRESHOLDS, Found, hits
from qdiag.simulate.task.boxes.layout import BoxLayout
from qdiag.simulate.task.groups import GROUPS, group_figure, group_gain, group_of
from qdiag.simulate.task.means import mean_figure, mean_gain
from qdiag.targets import kind_of_targets

_RECALLS = np.linspace(0.0, 1.0, 101)
_SAMPLE, _CLASS, _SCORE, _IS_TRUE, _HITS = 0, 1, 2, 3, 4
CONFIDENT = 0.25
"""Score from which on a box is shown to users, and is to agree with the float network's."""


@dataclass(frozen=True)
class BoxPrecision:
    """Mean over classes of average precision: over ten overlaps from 0.50 to 0.95 (`mAP`), or at 0.50 (`mAP@50`).

    Precision at 101 recalls, boxes of all sizes, a hundred boxes for an image. Source: Lin et al., arXiv 1405.0312, and
    COCOeval of its authors.
    """

    layout: BoxLayout
    kind: Literal["mAP", "mAP@50"] = "mAP"

    @property
    def criterion(self) -> Criterion:
        return Criterion(self.kind)

    @property
    def key(self) -> Hashable:
        return "boxes", self

    def tally(self) -> "BoxTally":
        return BoxTally(self.layout)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        return group_figure(self.criterion, reference=self._groups(reference), simulated=self._groups(simulated))

    def gain(self, *, before: Table, after: Table) -> Gain:
        return group_gain(self.criterion, before=self._groups(before), after=self._groups(after))

    def _groups(self, rows: Table) -> Table:
        """Over all images, without each group of them, and how many there are."""
        count = int(rows[:, _SAMPLE].max(initial=-1.0)) + 1
        groups = np.array([group_of(int(sample)) for sample in rows[:, _SAMPLE]])
        parts = [rows, *([rows[groups != g] for g in range(GROUPS)] if count >= 2 * GROUPS else [])]
        stop = 1 if self.kind == "mAP@50" else len(THRESHOLDS)
        return np.array([*(mean_precision(part, stop) for part in parts), float(count)]).reshape(-1, 1)


def mean_precision(rows: Table, thresholds: int = len(THRESHOLDS)) -> float:
    """Percent; NaN without true boxes.

    Args:
        rows: number of the image, class, score, whether the row is a true box, and whether the found box is right at
            each threshold; a class of -1 says that there is an image. thresholds: the first so many count.
    """
    is_true = rows[:, _IS_TRUE] == 1.0
    values = []
    for label in np.unique(rows[is_true, _CLASS]):
        own = rows[rows[:, _CLASS] == label]
        count = float((own[:, _IS_TRUE] == 1.0).sum())
        found = own[own[:, _IS_TRUE] == 0.0]
        found = found[np.argsort(-found[:, _SCORE], kind="stable"), _HITS : _HITS + thresholds]
        right = found.cumsum(0)
        precision = right / np.arange(1, len(found) + 1)[:, None]
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        for column in range(thresholds):
            at = np.searchsorted(right[:, column] / count, _RECALLS, side="left")
            reached = at < len(found)
            values.append(
                np.where(reached, precision[np.minimum(at, len(found) - 1), column], 0.0).mean() if len(found) else 0.0
            )
    return 100.0 * float(np.mean(values)) if values else float("nan")


@dataclass
class BoxTally:
    """The boxes of every image, and the true ones: see `mean_precision`."""

    layout: BoxLayout
    _rows: list[Table] = field(default_factory=list)
    _count: int = 0

    def add(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> None:
        """Adds one batch.

        Raises:
            DataError: its targets are no boxes.
        """
        del reference
        for one, target in zip(self.layout.found(outputs), true_boxes(batch), strict=True):
            labels = target["labels"].cpu()
            right = hits(one, target["boxes"].double().cpu(), labels).numpy()
            found = np.column_stack([one.labels.numpy(), one.scores.numpy(), np.zeros(len(right)), right])
            true = np.zeros((len(labels), found.shape[1]))
            true[:, 0], true[:, 2] = labels.numpy(), 1.0
            image = np.zeros((1, found.shape[1]))
            image[0, 0] = -1.0
            rows = np.concatenate((image, true, found))
            self._rows.append(np.column_stack([np.full(len(rows), float(self._count)), rows]))
            self._count += 1

    def table(self) -> Table:
        """Rows of all images."""
        return np.concatenate(self._rows) if self._rows else np.zeros((0, _HITS + len(THRESHOLDS)))


@dataclass(frozen=True)
class BoxAgreement:
    """Boxes with a score of 0.25 and more, held against those of the float network: F1 at an overlap of one half.

    An image in which neither finds anything counts as full agreement.
    """

    layout: BoxLayout

    @property
    def criterion(self) -> Criterion:
        return Criterion("box agreement", limit=5.0, is_against_float=True)

    @property
    def key(self) -> Hashable:
        return "box agreement", self

    def tally(self) -> RowTally:
        return RowTally(self)

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """Percent of each image and 1, (N, 2)."""
        del batch
        pairs = zip(self.layout.found(outputs), self.layout.found(reference), strict=True)
        scores = torch.tensor([_agreement(one, other) for one, other in pairs], dtype=torch.float64)
        return torch.stack([scores, torch.ones_like(scores)], 1)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        return mean_figure(self.criterion, reference=reference, simulated=simulated)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return mean_gain(self.criterion, before=before, after=after)


def _agreement(one: Found, other: Found) -> float:
    one, other = one.above(CONFIDENT), other.above(CONFIDENT)
    total = len(one.boxes) + len(other.boxes)
    return 200.0 * float(hits(one, other.boxes, other.labels, (0.5,)).sum()) / total if total else 100.0


def true_boxes(batch: Batch) -> Sequence[Any]:
    """For each image a dictionary of boxes (M, 4) and labels (M,).

    Raises:
        DataError: the targets are something else.
    """
    if kind_of_targets(batch.labels) != "boxes":
        raise DataError("the targets of a batch are no boxes", hint="give a dictionary of boxes and labels per image")
    found: Sequence[Any] = batch.labels
    return found
