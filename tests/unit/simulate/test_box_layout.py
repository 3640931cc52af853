"""How a detector's outputs hold its boxes is found out by what they give for true boxes."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from qdiag.errors import ConfigError, DataError
from qdiag.simulate.task.boxes.agreement import BoxAgreement
from qdiag.simulate.task.boxes.found import Found, suppressed
from qdiag.simulate.task.boxes.layout import BoxLayout
from qdiag.simulate.task.boxes.reader import BoxReader
from qdiag.simulate.task.boxes.recognize import best_layout, layouts_of, likely_layout
from qdiag.simulate.task.boxes.table import true_boxes
from qdiag.simulate.task.choice.choose import TaskRequest, choose_tasks
from qdiag.simulate.task.choice.hints import Output
from qdiag.simulate.task.choice.label_values import LabelValues
from qdiag.simulate.task.choice.seen import Seen
from qdiag.simulate.task.user import MetricRequest
from tests.planted.tasks.metrics import suppress

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
    return [Output(i, f"out{i}", tuple(value.shape[1:])) for i, value in enumerate(values)]


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
        BoxLayout(0, 0, True, True, CLASSES, is_centre=True),
    ),
    "the same, places first": (
        (_joined(_centred(BOXES), SCORES),),
        BoxLayout(0, 0, False, False, CLASSES, is_centre=True),
    ),
    "YOLOv5: objectness": (
        (_with_objectness(_centred(BOXES), SCORES),),
        BoxLayout(0, 0, False, False, CLASSES, has_objectness=True, is_centre=True),
    ),
    "corners": ((_joined(BOXES, SCORES).transpose(1, 2),), BoxLayout(0, 0, True, True, CLASSES)),
    "logits": ((_joined(BOXES, SCORES.logit()),), BoxLayout(0, 0, False, False, CLASSES, are_logits=True)),
    "fewer places than numbers for each": (
        (_joined(_centred(BOXES), SCORES).transpose(1, 2)[..., [3, 7, 11, 20, 30]],),
        BoxLayout(0, 0, True, True, CLASSES, is_centre=True),
    ),
    "YOLOv10: none to be left out": ((_final(BOXES, SCORES),), BoxLayout(0, 0, is_final=True)),
    "two outputs": ((SCORES, BOXES), BoxLayout(1, 0, False, False, CLASSES)),
    "two outputs, places last, logits": (
        (_centred(BOXES).transpose(1, 2), SCORES.logit().transpose(1, 2)),
        BoxLayout(0, 1, True, True, CLASSES, are_logits=True, is_centre=True),
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_layout_is_found_and_gives_the_true_boxes(name: str) -> None:
    values, expected = FORMS[name]
    layout = best_layout(layouts_of(_outputs(values), values, are_all=True), values, TARGETS)
    assert layout == expected
    for found, target in zip(layout.found(values), TARGETS, strict=True):
        sure = found.chosen(found.scores > 0.5)
        assert sure.boxes == pytest.approx(target["boxes"].numpy(), abs=1e-3)
        assert sure.labels.tolist() == target["labels"].tolist()
        assert sure.scores == pytest.approx([0.9, 0.7], abs=1e-5)


@pytest.mark.parametrize("name", [name for name in FORMS if "objectness" not in name and "fewer" not in name])
def test_without_true_boxes_the_form_is_told_by_the_boxes(name: str) -> None:
    values, expected = FORMS[name]
    assert likely_layout(layouts_of(_outputs(values), values), values) == expected
    empty = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}] * IMAGES
    assert best_layout(layouts_of(_outputs(values), values), values, empty) == expected


def _seen(values: tuple[Tensor, ...], targets: Any) -> Seen:
    return Seen(_outputs(values), targets, LabelValues, "none" if targets is None else "boxes", values)


def test_true_boxes_choose_average_precision_and_none_choose_agreement() -> None:
    values = FORMS["two outputs"][0]
    found = choose_tasks(TaskRequest(), _seen(values, TARGETS))
    assert [task.criterion.name for task in found.criteria] == ["mAP", "mAP50", "box agreement"]
    assert (found.choice.kind, found.choice.output, found.choice.reason) == ("detect", "out0", "targets")
    for output in (None, "out0", "out1"):
        found = choose_tasks(TaskRequest(kind="detect", output=output), _seen(values, None))
        assert [task.criterion.name for task in found.criteria] == ["box agreement"]
        assert found.choice.reason == "asked"


NOISE = torch.randn(IMAGES, 8, 40, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "values",
    [(SCORES,), (BOXES,), (SCORES[..., 0],), (NOISE,)],
    ids=["scores", "boxes", "a vector", "noise"],
)
def test_outputs_without_boxes_and_scores_are_an_error_that_lists_them(values: tuple[Tensor, ...]) -> None:
    shape = str(tuple(values[0].shape[1:]))[1:].rstrip(",)")
    for targets, kind in ((TARGETS, None), (TARGETS, "detect"), (None, "detect")):
        with pytest.raises(ConfigError) as caught:
            choose_tasks(TaskRequest(kind=kind), _seen(values, targets))  # type: ignore[arg-type]
        assert f"out0 (N, {shape})" in str(caught.value.hint)


def test_true_boxes_in_another_unit_are_an_error() -> None:
    values = (_joined(BOXES / 300.0, SCORES),)
    with pytest.raises(ConfigError, match="the labels, boxes, fit no output") as caught:
        choose_tasks(TaskRequest(), _seen(values, TARGETS))
    assert "in the unit of its own boxes" in str(caught.value.hint)
    assert "out0 (N, 40, 7)" in str(caught.value.hint)
    own = TaskRequest(metric=MetricRequest(lambda outputs, targets: 1.0))
    assert choose_tasks(own, _seen(values, TARGETS)).choice.reason == "metric"


def test_a_class_that_the_network_does_not_know_is_an_error() -> None:
    wrong = [{**TARGETS[0], "labels": torch.tensor([0, CLASSES])}]
    with pytest.raises(DataError, match="the class 3 of a true box is outside 0 to 2"):
        true_boxes(wrong, CLASSES)
    assert len(true_boxes(wrong)) == 1
    with pytest.raises(DataError, match="no boxes"):
        true_boxes(torch.zeros(3, 4))


def test_of_boxes_that_overlap_the_best_of_each_class_stays() -> None:
    """Against the plain version, for boxes that crowd."""
    random = np.random.default_rng(0)
    for count in (0, 1, 30, 90):
        corner = random.uniform(0, 12, (count, 2))
        boxes = np.concatenate((corner, corner + random.uniform(8, 14, (count, 2))), 1)
        scores, labels = np.sort(random.random(count))[::-1], random.integers(0, 2, count)
        kept = suppressed(Found(boxes, scores, labels))
        expected = suppress(boxes, scores, labels, 0.7)
        assert kept.scores.tolist() == scores[expected].tolist()
        assert kept.labels.tolist() == labels[expected].tolist()
    assert 10 < len(expected) < count


def test_what_is_not_finite_or_has_no_score_is_no_box_and_a_hundred_count() -> None:
    output = torch.zeros(1, 300, 5)
    output[0, :, 0] = 10.0 * torch.arange(300)
    output[0, :, 2:4], output[0, :, 4] = 8.0, torch.linspace(0.2, 0.9, 300)
    output[0, 299, 1], output[0, 298, 4], output[0, 297, 4] = float("nan"), float("nan"), 0.001
    (found,) = BoxLayout(0, 0, classes=1, is_centre=True).found((output,))
    assert len(found.scores) == 100
    assert found.boxes[0].tolist() == [2956.0, -4.0, 2964.0, 4.0]
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_agreement_is_f1_over_all_images() -> None:
    values, layout = FORMS["corners"]
    changed = values[0].clone()
    changed[0, 4:, 3] = 0.0  # one of two boxes is lost
    changed[1, :4, 7] += 500.0  # one is elsewhere
    changed[2, 4:, 3] = changed[2, 4:, 3].roll(1)  # one has another class
    task = BoxAgreement(BoxReader(layout))
    one, other = task.tally(), task.tally()
    one.add(None, values, values)  # type: ignore[arg-type]
    other.add(None, (changed,), values)  # type: ignore[arg-type]
    figure = task.figure(reference=one.table(), simulated=other.table())
    assert figure.reference == 100.0
    assert figure.simulated == pytest.approx(100.0 * 2 * 5 / (8 + 7))
    assert figure.loss_interval.low <= figure.loss <= figure.loss_interval.high
    nothing = task.tally()
    nothing.add(None, (0.0 * changed,), (0.0 * changed,))  # type: ignore[arg-type]
    assert task.figure(reference=nothing.table(), simulated=nothing.table()).simulated == 100.0


def test_boxes_of_the_same_outputs_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values, layout = FORMS["corners"]
    reader, read, plain = BoxReader(layout), [], BoxLayout.found

    def found(own: BoxLayout, outputs: tuple[Any, ...]) -> list[Found]:
        read.append(outputs)
        return plain(own, outputs)

    monkeypatch.setattr(BoxLayout, "found", found)
    reference, variants = (*values,), [(value,) for value in (values[0].clone(), values[0].clone())]
    for variant in variants:
        for outputs in (reference, variant, variant, reference):
            assert len(reader.found(outputs)) == IMAGES
    assert [id(outputs) for outputs in read] == [id(reference), *map(id, variants)]
    assert reader == BoxReader(layout) and hash(reader) == hash(BoxReader(layout))
