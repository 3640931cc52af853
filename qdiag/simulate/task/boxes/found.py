"""Boxes of one image: how far they overlap, which of them stay, and which of them are right."""

from dataclasses import dataclass

import torch
from torch import Tensor

THRESHOLDS = tuple(0.5 + 0.05 * i for i in range(10))
"""Of the overlap from which on a box counts as found, as COCO takes them."""
LEAST_SCORE = 0.001
NMS_IOU = 0.7
"""Of two boxes of one class that overlap by more, the one with the lower score is left out (Ultralytics' default)."""
BEFORE_NMS, AT_MOST = 1000, 100
"""Boxes of an image, best first, that are looked at; COCO counts a hundred."""


@dataclass(frozen=True)
class Found:
    """Boxes x0, y0, x1, y1 (M, 4), their scores (M,), best first, and classes (M,) int64, on the CPU."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor

    def above(self, score: float) -> "Found":
        """Those with that score at least."""
        kept = self.scores >= score
        return Found(self.boxes[kept], self.scores[kept], self.labels[kept])


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of boxes (A, 4) and (B, 4): (A, B); empty boxes overlap nothing."""
    low = torch.maximum(first[:, None, :2], second[None, :, :2])
    high = torch.minimum(first[:, None, 2:], second[None, :, 2:])
    both = (high - low).clamp_min(0.0).prod(2)
    sizes = [(boxes[:, 2:] - boxes[:, :2]).clamp_min(0.0).prod(1) for boxes in (first, second)]
    union = sizes[0][:, None] + sizes[1][None] - both
    return torch.where(union > 0.0, both / union.clamp_min(1e-300), 0.0)


def best_of(boxes: Tensor, scores: Tensor, labels: Tensor, *, suppresses: bool) -> Found:
    """The boxes that count, best first: finite, with a score, and not beside a better one of the same class.

    Args:
        suppresses: boxes that overlap a better one of their class are left out.
    """
    usable = torch.nonzero((scores >= LEAST_SCORE) & torch.isfinite(boxes).all(1))[:, 0]
    order = usable[torch.argsort(scores[usable], descending=True, stable=True)][:BEFORE_NMS]
    boxes, scores, labels = boxes[order], scores[order], labels[order]
    if suppresses and len(boxes):
        hides = (overlap(boxes, boxes) > NMS_IOU) & (labels[:, None] == labels[None])
        stays = torch.ones(len(boxes), dtype=torch.bool)
        for i in range(len(boxes)):
            if stays[i]:
                stays[i + 1 :] &= ~hides[i, i + 1 :]
        boxes, scores, labels = boxes[stays], scores[stays], labels[stays]
    return Found(boxes[:AT_MOST], scores[:AT_MOST], labels[:AT_MOST])


def hits(found: Found, boxes: Tensor, labels: Tensor, thresholds: tuple[float, ...] = THRESHOLDS) -> Tensor:
    """Which boxes are right at each threshold, (M, T), bool.

    In the order of their scores, each takes the true box of its class that it overlaps most among those that are
    still free. Source: COCOeval.evaluateImg.
    """
    shared = overlap(found.boxes, boxes)
    shared = torch.where(found.labels[:, None] == labels[None], shared, -1.0)
    right = torch.zeros(len(found.boxes), len(thresholds), dtype=torch.bool)
    if not len(boxes):
        return right
    candidates = torch.nonzero(shared.amax(1) >= min(thresholds))[:, 0].tolist()
    for column, threshold in enumerate(thresholds):
        free = torch.ones(len(boxes), dtype=torch.bool)
        for i in candidates:
            row = torch.where(free, shared[i], -1.0)
            best = int(row.argmax())
            if float(row[best]) >= threshold - 1e-10:
                free[best] = False
                right[i, column] = True
    return right
