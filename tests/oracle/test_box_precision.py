"""Average precision of boxes against the steps of COCOeval written out, and against faster-coco-eval if installed."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import torch

from qdiag.batches import Batch
from qdiag.simulate.task.boxes.found import THRESHOLDS, Found, best_of, hits, overlap
from qdiag.simulate.task.boxes.layout import BoxLayout
from qdiag.simulate.task.boxes.precision import BoxPrecision, BoxTally, mean_precision

IMAGES, CLASSES = 24, 3


def drawn(seed: int) -> tuple[list[Found], list[dict[str, Any]]]:
    """Found boxes near true ones, some of them of the wrong class, some doubled, some nowhere near."""
    random = np.random.default_rng(seed)
    found, targets = [], []
    for _ in range(IMAGES):
        count = int(random.integers(0, 5))
        corner, size = random.uniform(0, 60, (count, 2)), random.uniform(8, 30, (count, 2))
        true, labels = np.concatenate((corner, corner + size), 1), random.integers(0, CLASSES, count)
        near = np.repeat(true, 2, axis=0) + random.normal(0, 2.5, (2 * count, 4))
        near_labels = np.where(
            random.random(2 * count) < 0.8, np.repeat(labels, 2), random.integers(0, CLASSES, 2 * count)
        )
        other = random.uniform(0, 60, (3, 2))
        boxes = np.concatenate((near, np.concatenate((other, other + random.uniform(8, 30, (3, 2))), 1)))
        all_labels = np.concatenate((near_labels, random.integers(0, CLASSES, 3)))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1.0)
        scores = random.random(len(boxes))
        order = np.argsort(-scores)
        found.append(Found(*(torch.from_numpy(x[order]) for x in (boxes, scores, all_labels))))
        targets.append({"boxes": torch.from_numpy(true).reshape(-1, 4), "labels": torch.from_numpy(labels)})
    return found, targets


def rows_of(found: list[Found], targets: list[dict[str, Any]]) -> Any:
    tally = BoxTally(_Given(found))  # type: ignore[arg-type]
    tally.add(Batch((torch.zeros(len(found), 1),), labels=targets), (), ())
    return tally.table()


class _Given:
    def __init__(self, found: list[Found]) -> None:
        self._found = found

    def found(self, outputs: tuple[Any, ...]) -> list[Found]:
        return self._found


def written_out(found: list[Found], targets: list[dict[str, Any]], thresholds: tuple[float, ...]) -> float:
    """Image by image, class by class, box by box, in plain Python."""
    values = []
    for threshold in thresholds:
        for label in range(CLASSES):
            entries, true_count = [], 0
            for one, target in zip(found, targets, strict=True):
                true = [
                    b
                    for b, own in zip(target["boxes"].tolist(), target["labels"].tolist(), strict=True)
                    if own == label
                ]
                true_count += len(true)
                taken = [False] * len(true)
                boxes = zip(one.boxes.tolist(), one.scores.tolist(), one.labels.tolist(), strict=True)
                for box, score, _ in sorted((b for b in boxes if b[2] == label), key=lambda b: -b[1]):
                    best, at = threshold - 1e-10, -1
                    for j, other in enumerate(true):
                        if not taken[j] and _iou(box, other) >= best:
                            best, at = _iou(box, other), j
                    if at >= 0:
                        taken[at] = True
                    entries.append((score, at >= 0))
            if not true_count:
                continue
            entries.sort(key=lambda entry: -entry[0])
            right, curve = 0, []
            for i, (_, is_right) in enumerate(entries):
                right += is_right
                curve.append((right / true_count, right / (i + 1)))
            points = [max((p for r, p in curve if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)]
            values.append(sum(points) / 101)
    return 100.0 * sum(values) / len(values)


def _iou(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0.0) * max(height, 0.0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_the_steps_written_out(seed: int) -> None:
    found, targets = drawn(seed)
    rows = rows_of(found, targets)
    assert mean_precision(rows) == pytest.approx(written_out(found, targets, THRESHOLDS), abs=1e-9)
    assert mean_precision(rows, 1) == pytest.approx(written_out(found, targets, (0.5,)), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_coco(seed: int) -> None:
    library = pytest.importorskip("faster_coco_eval")
    found, targets = drawn(seed)

    def as_coco(boxes: torch.Tensor) -> list[list[float]]:
        return torch.cat((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1).tolist()

    truth = [
        {"image_id": i, "category_id": int(label), "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for i, target in enumerate(targets)
        for box, label in zip(as_coco(target["boxes"]), target["labels"], strict=True)
    ]
    truth = [{"id": number + 1, **entry} for number, entry in enumerate(truth)]
    answers = [
        {"image_id": i, "category_id": int(label), "bbox": box, "score": float(score)}
        for i, one in enumerate(found)
        for box, score, label in zip(as_coco(one.boxes), one.scores, one.labels, strict=True)
    ]
    images = [{"id": i} for i in range(IMAGES)]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = library.COCO({"images": images, "annotations": truth, "categories": [{"id": i} for i in range(CLASSES)]})
        evaluation = library.COCOeval_faster(coco, coco.loadRes(answers), iouType="bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    rows = rows_of(found, targets)
    assert mean_precision(rows) == pytest.approx(100.0 * evaluation.stats[0], abs=1e-6)
    assert mean_precision(rows, 1) == pytest.approx(100.0 * evaluation.stats[1], abs=1e-6)


def test_overlap_is_that_of_plain_python() -> None:
    found, targets = drawn(9)
    for one, target in zip(found, targets, strict=True):
        expected = [[_iou(a, b) for b in target["boxes"].tolist()] for a in one.boxes.tolist()]
        assert overlap(one.boxes, target["boxes"]).numpy() == pytest.approx(
            np.array(expected).reshape(len(one.boxes), -1)
        )


def test_no_true_boxes_is_no_figure_and_nothing_found_is_zero() -> None:
    found, targets = drawn(1)
    nothing = Found(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    assert mean_precision(rows_of([nothing] * IMAGES, targets)) == 0.0
    empty = [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}] * IMAGES
    assert np.isnan(mean_precision(rows_of(found, empty)))
    assert hits(found[0], empty[0]["boxes"], empty[0]["labels"]).shape == (len(found[0].boxes), 10)


def test_of_boxes_that_overlap_the_best_of_each_class_stays() -> None:
    boxes = torch.tensor(
        [[0.0, 0, 10, 10], [0.5, 0, 10.5, 10], [0, 0, 10, 10], [50, 0, 60, 10], [0, 0, 1, float("nan")]]
    )
    scores, labels = torch.tensor([0.5, 0.9, 0.4, 0.0, 0.8]), torch.tensor([0, 0, 1, 0, 0])
    kept = best_of(boxes, scores, labels, suppresses=True)
    assert (kept.scores.tolist(), kept.labels.tolist()) == (pytest.approx([0.9, 0.4]), [0, 1])
    assert len(best_of(boxes, scores, labels, suppresses=False).scores) == 3


def test_the_interval_holds_the_difference_of_two_detectors() -> None:
    found, targets = drawn(3)
    worse = [Found(one.boxes + 3.0, one.scores, one.labels) for one in found]
    task = BoxPrecision(BoxLayout(0, 0), "mAP@50")
    first, second = rows_of(found, targets), rows_of(worse, targets)
    figure, gain = task.figure(reference=first, simulated=second), task.gain(before=second, after=first)
    assert figure.loss == pytest.approx(mean_precision(first, 1) - mean_precision(second, 1))
    assert gain.value == pytest.approx(figure.loss)
    assert figure.loss_interval.low < figure.loss < figure.loss_interval.high
    same = task.figure(reference=first, simulated=first)
    assert (same.loss, same.loss_interval.low, same.loss_interval.high) == (0.0, 0.0, 0.0)
