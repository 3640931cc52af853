"""How a detector's outputs hold its boxes is found out by what they give for true boxes."""

from typing import Any

import pytest
import torch
from torch import Tensor

from qdiag.simulate.task.boxes.layout import BoxLayout, layout_of
from qdiag.simulate.task.hints import Output

IMAGES, PLACES, CLASSES = 4, 40, 3


def _truth() -> tuple[Tensor, Tensor, list[dict[str, Any]]]:
    """For every place of every image a box and its scores; two places of an image hold its true boxes."""
    generator = torch.Generator().manual_seed(0)
    corner = 20.0 + 200.0 * torch.rand(IMAGES, PLACES, 2, generator=generator)
    boxes = torch.cat((corner, corner + 20.0 + 30.0 * torch.rand(IMAGES, PLACES, 2, generator=generator)), 2)
    scores = 0.05 * torch.rand(IMAGES, PLACES, CLASSES, generator=generator)
    targets = []
    for i in range(IMAGES):
        labels = torch.tensor([i % CLASSES, (i + 1) % CLASSES])
        scores[i, [3, 7], labels] = torch.tensor([0.9, 0.7])
        targets.append({"boxes": boxes[i, [3, 7]], "labels": labels})
    return boxes, scores, targets


def _centred(boxes: Tensor) -> Tensor:
    return torch.cat(((boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]), -1)


def _outputs(values: tuple[Tensor, ...]) -> list[Output]:
    return [Output(i, str(i), tuple(value.shape[1:])) for i, value in enumerate(values)]


def _final(boxes: Tensor, scores: Tensor) -> Tensor:
    best, labels = scores.max(2)
    return torch.cat((boxes, best.unsqueeze(2), labels.unsqueeze(2).float()), 2)


def _joined(boxes: Tensor, scores: Tensor) -> Tensor:
    return torch.cat((boxes, scores), 2)


def _with_objectness(boxes: Tensor, scores: Tensor) -> Tensor:
    best = scores.amax(2, keepdim=True)
    return torch.cat((boxes, best, scores / best), 2)


BOXES, SCORES, TARGETS = _truth()
FORMS = {
    "YOLOv8: centres, classes, places last": (
        (_joined(_centred(BOXES), SCORES).transpose(1, 2),),
        BoxLayout(0, 0, True, True, is_centre=True),
    ),
    "the same, places first": ((_joined(_centred(BOXES), SCORES),), BoxLayout(0, 0, is_centre=True)),
    "YOLOv5: objectness": (
        (_with_objectness(_centred(BOXES), SCORES),),
        BoxLayout(0, 0, has_objectness=True, is_centre=True),
    ),
    "corners": ((_joined(BOXES, SCORES).transpose(1, 2),), BoxLayout(0, 0, True, True)),
    "YOLOv10: none to be left out": ((_final(BOXES, SCORES),), BoxLayout(0, 0, is_final=True)),
    "two outputs": ((SCORES, BOXES), BoxLayout(1, 0)),
    "two outputs, places last": (
        (_centred(BOXES).transpose(1, 2), SCORES.transpose(1, 2)),
        BoxLayout(0, 1, True, True, is_centre=True),
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_layout_is_found_and_gives_the_true_boxes(name: str) -> None:
    values, expected = FORMS[name]
    layout = layout_of(_outputs(values), values, TARGETS)
    assert layout == expected
    for found, target in zip(layout.found(values), TARGETS, strict=True):
        sure = found.above(0.5)
        torch.testing.assert_close(sure.boxes.float(), target["boxes"])
        assert sure.labels.tolist() == target["labels"].tolist()
        assert sure.scores.tolist() == pytest.approx([0.9, 0.7])


@pytest.mark.parametrize("name", [name for name in FORMS if "objectness" not in name])
def test_without_true_boxes_the_form_is_told_by_the_boxes(name: str) -> None:
    values, expected = FORMS[name]
    assert layout_of(_outputs(values), values, None) == expected


def test_other_outputs_hold_no_boxes() -> None:
    for values in ((SCORES,), (BOXES,), (SCORES[..., 0],), (torch.randn(IMAGES, 8, 40),)):
        assert layout_of(_outputs(values), values, TARGETS) is None


def test_boxes_in_other_units_fit_nothing() -> None:
    values = (_joined(BOXES / 300.0, SCORES),)
    assert layout_of(_outputs(values), values, TARGETS) is None
