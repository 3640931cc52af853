"""Boxes that a detector finds in one image: how far they overlap, which of them stay, and which of them are right."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
"""Overlaps from which on a box counts as found, as COCO takes them."""
NMS_IOU = 0.7
"""Of two boxes of one class that overlap by more, the one with the lower score is left out (Ultralytics' default)."""
AT_MOST = 100
"""Boxes of an image that count, best first, as COCO counts them."""
_TOGETHER = 32
"""Boxes whose overlaps with all others are computed at once."""


@dataclass(frozen=True)
class Found:
    """Boxes x0, y0, x1, y1 (M, 4), their scores (M,), best first, and classes (M,)."""

    boxes: Floats
    scores: Floats
    labels: Labels

    def chosen(self, which: Bools | Labels | slice) -> "Found":
        """Some of them, in the order of the numbers given."""
        return Found(self.boxes[which], self.scores[which], self.labels[which])


def overlap(first: Floats, second: Floats) -> Floats:
    """Intersection over union of boxes (A, 4) and (B, 4): (A, B); empty boxes overlap nothing."""
    both = _intersections(first, second)
    sizes = areas(first)[:, None] + areas(second)[None]
    shared: Floats = np.divide(both, sizes - both, out=np.zeros_like(both), where=both > 0.0)
    return shared


def _intersections(first: Floats, second: Floats) -> Floats:
    both: Floats = _shared_side(first, second, 0) * _shared_side(first, second, 1)
    return both


def _shared_side(first: Floats, second: Floats, axis: int) -> Floats:
    low = np.maximum(first[:, axis, None], second[:, axis])
    high = np.minimum(first[:, axis + 2, None], second[:, axis + 2])
    shared: Floats = np.maximum(high - low, 0.0)
    return shared


def areas(boxes: Floats) -> Floats:
    """(M,); 0 where a side is not above zero."""
    sizes: Floats = np.maximum(boxes[:, 2] - boxes[:, 0], 0.0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0.0)
    return sizes


def suppressed(found: Found) -> Found:
    """Without the boxes that overlap a better one of their class by more than `NMS_IOU`, and at most `AT_MOST`."""
    kept = np.zeros(0, dtype=np.int64)
    rest = np.arange(len(found.scores))
    while len(rest) and len(kept) < AT_MOST:
        boxes, labels = found.boxes[rest], found.labels[rest]
        count = min(len(rest), _TOGETHER)
        beaten = overlap(boxes[:count], boxes) > NMS_IOU
        beaten &= labels[:count, None] == labels
        beaten &= np.arange(len(rest)) > np.arange(count)[:, None]
        stays = np.ones(len(rest), dtype=bool)
        for i in np.flatnonzero(beaten.any(1)):
            if stays[i]:
                stays &= ~beaten[i]
        kept = np.concatenate((kept, rest[:count][stays[:count]]))
        rest = rest[count:][stays[count:]]
    return found.chosen(kept[:AT_MOST])


def hits(found: Found, boxes: Floats, labels: Labels, thresholds: Floats = THRESHOLDS) -> Bools:
    """Which boxes are right at each threshold, (M, T).

    In the order of their scores, each takes the true box of its class that it overlaps most among those that are
    still free; of equal ones the last, as COCOeval.evaluateImg of Lin et al., arXiv 1405.0312, does.

    Args:
        boxes, labels: the true ones, (K, 4) and (K,).
    """
    right = np.zeros((len(found.scores), len(thresholds)), dtype=bool)
    if not len(labels) or not len(right):
        return right
    shared = np.where(found.labels[:, None] == labels[None], overlap(found.boxes, boxes), -1.0)[:, ::-1]
    reaching = shared >= thresholds.min()
    if reaching.sum(1).max() <= 1:  # none has a choice: of those that overlap a true box, the best takes it
        enough = shared[:, :, None] >= thresholds
        takers, (true_boxes, columns) = enough.argmax(0), np.nonzero(enough.any(0))
        right[takers[true_boxes, columns], columns] = True
        return right
    free, columns = np.ones((len(thresholds), len(labels)), dtype=bool), np.arange(len(thresholds))
    for i in np.flatnonzero(reaching.any(1)):
        open_ones = np.where(free, shared[i], -1.0)
        best = open_ones.argmax(1)
        right[i] = open_ones[columns, best] >= thresholds
        free[columns[right[i]], best[right[i]]] = False
    return right


def in_crowds(found: Found, boxes: Floats, labels: Labels, thresholds: Floats = THRESHOLDS) -> Bools:
    """Which boxes lie in a region of many objects that has one box, (M, T): they are neither right nor wrong.

    The share of the box itself that lies inside counts, as COCO has it for annotations with `iscrowd`.

    Args:
        boxes, labels: the regions and their class, (K, 4) and (K,).
    """
    if not len(labels) or not len(found.scores):
        return np.zeros((len(found.scores), len(thresholds)), dtype=bool)
    shares = _intersections(found.boxes, boxes) / np.maximum(areas(found.boxes), np.finfo(np.float64).tiny)[:, None]
    most = np.where(found.labels[:, None] == labels[None], shares, -1.0).max(1)
    inside: Bools = most[:, None] >= thresholds
    return inside
