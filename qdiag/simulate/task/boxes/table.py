"""Which boxes of every image are right, as rows of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qdiag.batches import Batch
from qdiag.errors import DataError
from qdiag.simulate.task.base import Table
from qdiag.simulate.task.boxes.found import THRESHOLDS, Floats, Found, Labels, hits
from qdiag.simulate.task.boxes.reader import BoxReader
from qdiag.targets import kind_of_targets

IMAGE, CLASS, SCORE, HITS = range(4)
"""Columns. In the last one bit t says that a found box is right at threshold t."""
TRUE_BOX, ANY_IMAGE = -1.0, -2.0
"""In the last column: the row is a true box; it only says that there is such an image."""

_BITS = 1 << np.arange(len(THRESHOLDS))


@dataclass
class BoxTally:
    """Collects for each image the boxes found and the true ones."""

    reader: BoxReader
    _parts: list[Table] = field(default_factory=list)

    def add(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> None:
        """Adds one batch.

        Raises:
            DataError: its targets are no boxes, or of a class that the network does not know.
        """
        del reference
        targets = true_boxes(batch.labels, self.reader.layout.classes)
        for found, (boxes, labels) in zip(self.reader.found(outputs), targets, strict=True):
            self._parts.append(image_rows(len(self._parts), found, boxes, labels))

    def table(self) -> Table:
        """Rows of all images, (R, 4)."""
        return np.concatenate(self._parts) if self._parts else np.zeros((0, 4))


def image_rows(number: int, found: Found, boxes: Floats, labels: Labels) -> Table:
    """A row for the image, one for each true box, and one for each found box, (1 + K + M, 4)."""
    right = hits(found, boxes, labels) @ _BITS
    rows = np.full((1 + len(labels) + len(right), 4), float(number))
    rows[:, CLASS] = np.concatenate(([-1], labels, found.labels))
    rows[:, SCORE] = np.concatenate((np.zeros(1 + len(labels)), found.scores))
    rows[:, HITS] = np.concatenate(([ANY_IMAGE], np.full(len(labels), TRUE_BOX), right))
    return rows


def true_boxes(targets: Any, classes: int = 0) -> Sequence[tuple[Floats, Labels]]:
    """Of each image the true boxes (K, 4) and their classes (K,).

    Args:
        classes: of the network; 0 for any number.

    Raises:
        DataError: the targets are no boxes, or of a class that the network does not know.
    """
    if kind_of_targets(targets) != "boxes":
        raise DataError("the targets of a batch are no boxes", hint="give a dictionary of boxes and labels per image")
    found = [(t["boxes"].double().cpu().numpy(), t["labels"].long().cpu().numpy()) for t in targets]
    wrong = [int(c) for _, labels in found for c in labels if c < 0 or 0 < classes <= c]
    if wrong:
        known = f"outside 0 to {classes - 1}" if classes else "negative"
        raise DataError(
            f"the class {wrong[0]} of a true box is {known}",
            hint=f"the network has {classes} classes, counted from 0" if classes else "classes are counted from 0",
        )
    return found
