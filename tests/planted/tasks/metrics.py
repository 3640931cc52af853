"""Plain metrics in numpy: a score per sample, higher is better."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float64]


def array(tensor: Any) -> npt.NDArray[Any]:
    """A numpy array of a tensor, double precision where it holds floats."""
    values = tensor.detach().cpu().numpy() if isinstance(tensor, torch.Tensor) else np.asarray(tensor)
    return values.astype(np.float64) if values.dtype.kind == "f" else values


def top1(logits: Any, labels: Any) -> Floats:
    """1 where the largest of (N, C) logits is the label, else 0."""
    return (array(logits).argmax(1) == array(labels)).astype(np.float64)


def frame_accuracy(logits: Any, labels: Any) -> Floats:
    """Share of the frames of (N, T, C) logits whose largest one is the label (N, T)."""
    return (array(logits).argmax(2) == array(labels)).mean(1)


def iou(logits: Any, masks: Any) -> Floats:
    """Intersection over union of the foreground, for logits (N, 1, H, W) above 0 and masks (N, H, W) of 0 and 1.

    An image without foreground in either scores 1.
    """
    predicted, wanted = array(logits)[:, 0] > 0.0, array(masks) > 0
    both = (predicted & wanted).sum((1, 2))
    either = (predicted | wanted).sum((1, 2))
    return np.where(either == 0, 1.0, both / np.maximum(either, 1))


def cosine(embeddings: Any, targets: Any) -> Floats:
    """Cosine between rows of two arrays (N, K)."""
    a, b = array(embeddings), array(targets)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(1) / np.maximum(norms, 1e-12)


def box_iou(first: Floats, second: Floats) -> Floats:
    """Intersection over union of boxes (A, 4) and (B, 4), each x0, y0, x1, y1: (A, B)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    overlap = np.clip(high - low, 0.0, None).prod(2)
    areas = [np.clip(b[:, 2:] - b[:, :2], 0.0, None).prod(1) for b in (first, second)]
    union = areas[0][:, None] + areas[1][None] - overlap
    return overlap / np.maximum(union, 1e-9)


def suppress(boxes: Floats, scores: Floats, labels: npt.NDArray[Any], limit: float = 0.5) -> list[int]:
    """Numbers of the boxes that stay, best first, when those that overlap a better one of their class are left out."""
    kept: list[int] = []
    overlap = box_iou(boxes, boxes)
    for i in np.argsort(-scores, kind="stable"):
        if all(overlap[i, j] <= limit or labels[i] != labels[j] for j in kept):
            kept.append(int(i))
    return kept


def f1(
    found: npt.NDArray[Any], found_labels: npt.NDArray[Any], target: dict[str, Any], least_iou: float = 0.5
) -> float:
    """F1 of one image: boxes found, best first, each paired with the best free true box of its class.

    An image without boxes in either scores 1.
    """
    boxes, labels = array(target["boxes"]).reshape(-1, 4), array(target["labels"])
    if not len(boxes) and not len(found):
        return 1.0
    free = np.ones(len(boxes), dtype=bool)
    hits = 0
    overlap = box_iou(found.reshape(-1, 4), boxes)
    for row, label in zip(overlap, found_labels, strict=True):
        candidates = np.where(free & (labels == label), row, -1.0)
        if len(candidates) and candidates.max() >= least_iou:
            free[candidates.argmax()] = False
            hits += 1
    return 2.0 * hits / (len(boxes) + len(found))
