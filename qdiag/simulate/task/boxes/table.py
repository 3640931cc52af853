"""Which boxes of every image are right, as rows of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from qdiag.batches import Batch
from qdiag.distributed.collector import Collector
from qdiag.errors import TargetError
from qdiag.simulate.task.base import Table
from qdiag.simulate.task.boxes.found import THRESHOLDS, Bools, Floats, Found, Labels, hits, in_crowds
from qdiag.simulate.task.boxes.reader import BoxReader
from qdiag.targets import is_boxes, kind_of_targets

IMAGE, CLASS, SCORE, HITS = range(4)
"""Columns. In the last one bit t says that a found box is right at threshold t, and bit t + 10 that it lies in a crowd
there, and is neither right nor wrong."""
TRUE_BOX, ANY_IMAGE = -1.0, -2.0
"""In the last column: the row is a true box; it only says that there is such an image."""

_BITS = 1 << np.arange(2 * len(THRESHOLDS))


class Truth(NamedTuple):
    """The true boxes of an image (K, 4), their classes (K,), and which of them are regions of many objects (K,)."""

    boxes: Floats
    labels: Labels
    are_crowds: Bools


@dataclass
class BoxTally(Collector):
    """Collects for each image the boxes found and the true ones."""

    carried = ("_parts",)
    reader: BoxReader
    _parts: list[Table] = field(default_factory=list)

    def add(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> None:
        """Adds one batch.

        Raises:
            TargetError: its targets are no boxes, or of a class that the network does not know.
        """
        del reference
        targets = true_boxes(batch.labels, self.reader.layout.classes)
        for found, truth in zip(self.reader.found(outputs), targets, strict=True):
            self._parts.append(image_rows(len(self._parts), found, truth))

    def merge(self, later: "BoxTally") -> None:
        """See `Collector`; the images of the other one come after those of this one."""
        for rows in later._parts:
            rows[:, IMAGE] = len(self._parts)
            self._parts.append(rows)

    def table(self) -> Table:
        """Rows of all images, (R, 4)."""
        return np.concatenate(self._parts) if self._parts else np.zeros((0, 4))


def image_rows(number: int, found: Found, truth: Truth) -> Table:
    """A row for the image, one for each true box that is no crowd, and one for each found box, (1 + K + M, 4)."""
    single, crowds = ((truth.boxes[which], truth.labels[which]) for which in (~truth.are_crowds, truth.are_crowds))
    right = hits(found, *single)
    right = np.concatenate((right, in_crowds(found, *crowds) & ~right), 1) @ _BITS
    labels = single[1]
    rows = np.full((1 + len(labels) + len(right), 4), float(number))
    rows[:, CLASS] = np.concatenate(([-1], labels, found.labels))
    rows[:, SCORE] = np.concatenate((np.zeros(1 + len(labels)), found.scores))
    rows[:, HITS] = np.concatenate(([ANY_IMAGE], np.full(len(labels), TRUE_BOX), right))
    return rows


def true_boxes(targets: Any, classes: int = 0) -> Sequence[Truth]:
    """The true boxes of each image; a COCO annotation with `iscrowd` is a crowd.

    Args:
        classes: of the network; 0 for any number.

    Raises:
        TargetError: the targets of an image are no boxes, or of a class that the network does not know.
    """
    if kind_of_targets(targets) != "boxes":
        wrong = [i for i, entry in enumerate(targets) if not is_boxes(entry)] if isinstance(targets, list) else []
        raise TargetError(
            "its targets are no boxes",
            sample=next(iter(wrong), 0),
            hint="give a dictionary with boxes (M, 4) and labels (M,) for each image",
        )
    return [_truth(i, entry, classes) for i, entry in enumerate(targets)]


def _truth(number: int, entry: Mapping[str, Any], classes: int) -> Truth:
    boxes, labels = entry["boxes"].double().cpu().numpy(), entry["labels"].long().cpu().numpy()
    wrong = (labels < 0) | (labels >= classes) if classes else labels < 0
    if wrong.any():
        known = f"outside 0 to {classes - 1}" if classes else "negative"
        raise TargetError(
            f"the class {labels[wrong][0]} of a true box is {known}",
            sample=number,
            hint=f"{f'the network has {classes} classes, which' if classes else 'classes'} are counted from 0",
        )
    crowds = entry.get("iscrowd")
    if crowds is None:
        return Truth(boxes, labels, np.zeros(len(labels), dtype=bool))
    if not isinstance(crowds, Tensor) or crowds.shape != entry["labels"].shape:
        raise TargetError("iscrowd has not one number for each box", sample=number, hint="give iscrowd (M,), or none")
    return Truth(boxes, labels, crowds.bool().cpu().numpy())
