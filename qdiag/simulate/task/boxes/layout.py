"""How the outputs of a detector hold its boxes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qdiag.simulate.task.boxes.found import AT_MOST, Found, suppressed

LEAST_SCORE = 0.001
"""A box with a score up to this is none, as in the validation of Ultralytics."""
BEFORE_NMS = 1000
"""Pairs of a place and a class, best first, among which boxes that overlap are looked for."""


@dataclass(frozen=True)
class BoxLayout:
    """Boxes and scores among the outputs, for A places of an image and C classes.

    Attributes:
        boxes, scores: indices of the outputs; the same one where it holds both, the four numbers of the box first.
        boxes_first, scores_first: the axis of the four numbers, or of the classes, stands before that of the places.
        classes: C; 0 where class numbers are given, so that nothing tells how many there are.
        has_objectness: the first score says whether there is anything, and is multiplied with those of the classes.
        are_logits: scores are behind a sigmoid that the network lacks.
        is_final: boxes, score and class number (A, 6), of which none is to be left out.
        is_centre: centre, width and height; otherwise x0, y0, x1, y1.
    """

    boxes: int
    scores: int
    boxes_first: bool = False
    scores_first: bool = False
    classes: int = 0
    has_objectness: bool = False
    are_logits: bool = False
    is_final: bool = False
    is_centre: bool = False

    def found(self, outputs: tuple[Any, ...]) -> list[Found]:
        """The boxes of every image of a batch: finite, with a score, and not beside a better one of the same class."""
        boxes, scores = self.tensors(outputs)
        if self.is_final:
            place_scores, labels = scores[..., 0], scores[..., 1].round().long()
            values, places = _best(place_scores, AT_MOST)
            labels = labels.gather(1, places)
        else:
            scores = scores.sigmoid() if self.are_logits else scores
            if self.has_objectness:
                scores = scores[..., 1:] * scores[..., :1]
            values, index = _best(scores.flatten(1), BEFORE_NMS)
            places = index.div(scores.shape[2], rounding_mode="floor")
            labels = index - places * scores.shape[2]
        chosen = boxes.gather(1, places.unsqueeze(2).expand(-1, -1, 4))
        if self.is_centre:
            half = chosen[..., 2:] / 2
            chosen = torch.cat((chosen[..., :2] - half, chosen[..., :2] + half), 2)
        arrays = (chosen.double().cpu().numpy(), values.double().cpu().numpy(), labels.cpu().numpy())
        return [self._of_image(Found(*image), own) for *image, own in zip(*arrays, places.cpu().numpy(), strict=True)]

    def tensors(self, outputs: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
        """Boxes (N, A, 4) and what belongs to their scores (N, A, C), as the network gives them."""
        boxes, scores = _places(outputs[self.boxes], self.boxes_first), _places(outputs[self.scores], self.scores_first)
        return (boxes[..., :4], scores[..., 4:]) if self.boxes == self.scores else (boxes, scores)

    def _of_image(self, found: Found, places: "np.ndarray[Any, np.dtype[np.int64]]") -> Found:
        # 8-bit scores have many ties: places decide, as in a stable sort
        order = np.lexsort((found.labels, places, -found.scores))
        usable = (found.scores > LEAST_SCORE) & np.isfinite(found.boxes).all(1)
        own = found.chosen(order[usable[order]])
        return own if self.is_final else suppressed(own)


def _best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest scores of each image and where they are, (N, K) each; NaN is no score."""
    scores = torch.where(torch.isnan(scores), -1.0, scores)
    found = scores.topk(min(count, scores.shape[1]))
    return found.values, found.indices


def _places(x: Tensor, is_first: bool) -> Tensor:
    """(N, A, K)."""
    x = x.detach().float()
    return x.transpose(1, 2) if is_first else x
