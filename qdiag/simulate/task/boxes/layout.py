"""How the outputs of a detector hold its boxes: found out by what the float network gives for true boxes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from qdiag.simulate.task.boxes.found import Found, best_of, hits
from qdiag.simulate.task.hints import Output

_LEAST_RECALL = 0.1
"""Of the true boxes, a layout has to find this share at an overlap of one half, or it is another one."""
_FINAL_COLUMNS = 6


@dataclass(frozen=True)
class BoxLayout:
    """Boxes and scores among the outputs, for A places of an image.

    Attributes:
        boxes, scores: indices of the outputs; the same one where it holds both, the four numbers of the box first.
        boxes_first, scores_first: the axis of the four numbers, or of the classes, stands before that of the places.
        has_objectness: the first score says whether there is anything, and is multiplied with the others.
        is_final: boxes, score and class number of boxes of which none is to be left out, (A, 6).
        is_centre: centre, width and height; otherwise x0, y0, x1, y1.
    """

    boxes: int
    scores: int
    boxes_first: bool = False
    scores_first: bool = False
    has_objectness: bool = False
    is_final: bool = False
    is_centre: bool = False

    def found(self, outputs: tuple[Any, ...]) -> list[Found]:
        """The boxes of every image of a batch."""
        boxes, scores = _places(outputs[self.boxes], self.boxes_first), _places(outputs[self.scores], self.scores_first)
        if self.boxes == self.scores:
            boxes, scores = boxes[..., :4], scores[..., 4:]
        return [self._of_image(*image) for image in zip(boxes, scores, strict=True)]

    def _of_image(self, boxes: Tensor, scores: Tensor) -> Found:
        if self.is_centre:
            half = boxes[:, 2:] / 2
            boxes = torch.cat((boxes[:, :2] - half, boxes[:, :2] + half), 1)
        if self.is_final:
            return best_of(boxes, scores[:, 0], scores[:, 1].round().long(), suppresses=False)
        if self.has_objectness:
            scores = scores[:, 1:] * scores[:, :1] if scores.shape[1] > 1 else scores
        best, labels = scores.max(1)
        return best_of(boxes, best, labels, suppresses=True)


def layout_of(outputs: Sequence[Output], values: tuple[Any, ...], targets: Sequence[Any] | None) -> BoxLayout | None:
    """The layout by which the float network finds most true boxes; None without one.

    Args:
        values: all outputs of the float network for one batch. targets: its true boxes, image by image; without them
            the first layout is taken whose boxes have a size, and no objectness is told from a class.
    """
    layouts = [one for layout in _layouts(outputs, values) for one in (layout, replace(layout, is_centre=True))]
    if targets is None:
        return next((one for one in layouts if _has_boxes(one, values)), None)
    shares = [_recall(one, values, targets) for one in layouts]
    best = max(shares, default=0.0)
    return layouts[shares.index(best)] if best >= _LEAST_RECALL else None


def _layouts(outputs: Sequence[Output], values: tuple[Any, ...]) -> Iterator[BoxLayout]:
    for one in (o for o in outputs if len(o.shape) == 2):
        rows, columns = one.shape
        is_first = rows < columns
        width = min(rows, columns)
        if width < 5:
            continue
        whole = BoxLayout(one.index, one.index, is_first, is_first)
        if width == _FINAL_COLUMNS and not is_first:
            yield replace(whole, is_final=True)
        if _are_scores(_places(values[one.index], is_first)[..., 4:]):
            yield whole
            yield replace(whole, has_objectness=True)
    for one in (o for o in outputs if len(o.shape) == 2 and 4 in o.shape):
        boxes_first = one.shape[0] == 4
        places = one.shape[1] if boxes_first else one.shape[0]
        for other in outputs:
            if other is not one and len(other.shape) == 2 and places in other.shape:
                scores_first = other.shape[1] == places
                if _are_scores(_places(values[other.index], scores_first)):
                    yield BoxLayout(one.index, other.index, boxes_first, scores_first)


def _places(x: Tensor, is_first: bool) -> Tensor:
    """(N, A, K), double precision, on the CPU."""
    x = x.detach().double().cpu()
    return x.transpose(1, 2) if is_first else x


def _are_scores(x: Tensor) -> bool:
    return bool(((x >= 0.0) & (x <= 1.0)).all())


def _has_boxes(layout: BoxLayout, values: tuple[Any, ...]) -> bool:
    """Nearly all boxes have a size, as centres with sizes do not when they are taken for corners."""
    boxes = torch.cat([found.boxes for found in layout.found(values)])
    return len(boxes) > 0 and float((boxes[:, 2:] > boxes[:, :2]).all(1).double().mean()) > 0.99


def _recall(layout: BoxLayout, values: tuple[Any, ...], targets: Sequence[Any]) -> float:
    """Share of the true boxes that are found by the best boxes, twice as many as there are true ones."""
    found = layout.found(values)
    right, count = 0.0, 0
    for one, target in zip(found, targets, strict=True):
        labels = target["labels"].cpu()
        best = Found(one.boxes[: 2 * len(labels)], one.scores[: 2 * len(labels)], one.labels[: 2 * len(labels)])
        right += float(hits(best, target["boxes"].double().cpu(), labels, (0.5,)).sum())
        count += len(labels)
    return right / count if count else 0.0
