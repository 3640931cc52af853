"""Which layout the outputs of a detector have: told by their shapes, and by the true boxes where there are any."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from qdiag.simulate.task.boxes.found import areas
from qdiag.simulate.task.boxes.layout import BoxLayout
from qdiag.simulate.task.boxes.precision import mean_precision
from qdiag.simulate.task.boxes.table import image_rows, true_boxes
from qdiag.simulate.task.choice.hints import Output

_FINAL_COLUMNS = 6
_NEARLY_ALL = 0.99


def layouts_of(outputs: Sequence[Output], values: tuple[Any, ...], *, are_all: bool = False) -> list[BoxLayout]:
    """All that the shapes allow, the most usual first; each with corners, then with centres.

    Args:
        values: all outputs of the float network for one batch. are_all: less places than numbers for each are possible
            too, which only true boxes can confirm.
    """
    two_axes = [o for o in outputs if len(o.shape) == 2]
    # of two outputs with four columns the one that is called scores does not hold the boxes
    with_boxes = sorted((o for o in two_axes if 4 in o.shape), key=lambda o: bool(o.classifier_name))
    pairs = [(one, other) for one in with_boxes for other in two_axes if one is not other]
    found = [layout for one, other in pairs for layout in _apart(one, other, values)]
    for is_usual in (True, False) if are_all else (True,):
        for one in two_axes:
            found += _joined(one, values, is_first=(one.shape[0] < one.shape[1]) == is_usual)
    return [one for layout in found for one in (layout, replace(layout, is_centre=True))]


def likely_layout(layouts: Sequence[BoxLayout], values: tuple[Any, ...]) -> BoxLayout | None:
    """Without true boxes: the first by which nearly all boxes found have two sides above zero.

    Centres with sizes that are taken for corners have none.

    Args:
        values: all outputs of the float network for one batch.
    """
    for layout in layouts:
        boxes = np.concatenate([found.boxes for found in layout.found(values)])
        if len(boxes) and float((areas(boxes) > 0.0).mean()) > _NEARLY_ALL:
            return layout
    return None


def best_layout(layouts: Sequence[BoxLayout], values: tuple[Any, ...], targets: Any) -> BoxLayout | None:
    """The one by which the float network's average precision on the batch is highest; None where all are 0.

    It tells corners from centres, and objectness from a class, more surely than overlaps, which any box may have. A
    batch without true boxes is looked at as if there were no targets.
    """
    truth = true_boxes(targets)
    highest = max((int(one.labels.max()) for one in truth if len(one.labels)), default=-1)
    if highest < 0:
        return likely_layout(layouts, values)
    fitting = [one for one in layouts if not one.classes or one.classes > highest]
    figures = [_precision(one, values, truth) for one in fitting]
    best = max(figures, default=0.0)
    return fitting[figures.index(best)] if best > 0.0 else None


def _precision(layout: BoxLayout, values: tuple[Any, ...], truth: Sequence[Any]) -> float:
    pairs = zip(layout.found(values), truth, strict=True)
    rows = [image_rows(i, found, target) for i, (found, target) in enumerate(pairs)]
    return float(mean_precision(np.concatenate(rows), np.ones((1, len(rows))))[0])


def _joined(one: Output, values: tuple[Any, ...], *, is_first: bool) -> Iterator[BoxLayout]:
    """One output with boxes and scores."""
    width = one.shape[0] if is_first else one.shape[1]
    if width < 5:
        return
    whole = BoxLayout(one.index, one.index, is_first, is_first)
    scores = whole.tensors(values)[1]
    if width == _FINAL_COLUMNS and not is_first and _are_shares(scores[..., 0]) and _are_numbers(scores[..., 1]):
        yield replace(whole, is_final=True)
    plain = replace(whole, classes=width - 4, are_logits=not _are_shares(scores))
    yield plain
    if width > 5:
        yield replace(plain, classes=width - 5, has_objectness=True)


def _apart(one: Output, other: Output, values: tuple[Any, ...]) -> Iterator[BoxLayout]:
    """Boxes in one output and scores in another."""
    boxes_first = one.shape[1] != 4
    places = one.shape[1 if boxes_first else 0]
    if places not in other.shape:
        return
    scores_first = other.shape[0] != places
    classes = other.shape[0 if scores_first else 1]
    plain = BoxLayout(one.index, other.index, boxes_first, scores_first, classes)
    plain = replace(plain, are_logits=not _are_shares(plain.tensors(values)[1]))
    yield plain
    if classes > 1:
        yield replace(plain, classes=classes - 1, has_objectness=True)


def _are_shares(x: Tensor) -> bool:
    return bool(((x >= 0.0) & (x <= 1.0)).all())


def _are_numbers(x: Tensor) -> bool:
    return bool(((x == x.round()) & (x >= -1.0)).all())
