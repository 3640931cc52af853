"""Average precision of boxes against COCO's steps written out, and against COCO's own evaluation."""

import importlib.util
import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from qdiag.errors import DataError
from qdiag.simulate.task.boxes.found import THRESHOLDS, Found, hits, overlap
from qdiag.simulate.task.boxes.layout import BoxLayout
from qdiag.simulate.task.boxes.precision import BoxPrecision, mean_precision
from qdiag.simulate.task.boxes.reader import BoxReader
from qdiag.simulate.task.boxes.table import Truth, image_rows

IMAGES, CLASSES = 24, 3


def drawn(seed: int, has_crowds: bool = False) -> tuple[list[Found], list[Truth]]:
    """Found boxes near true ones, some of the wrong class, some doubled, some nowhere near; scores with ties.

    Some of the true ones are crowds, where there are any.
    """
    random = np.random.default_rng(seed)
    found, truth = [], []
    for _ in range(IMAGES):
        count = int(random.integers(0, 5))
        corner, size = random.uniform(0, 60, (count, 2)), random.uniform(8, 30, (count, 2))
        true, labels = np.concatenate((corner, corner + size), 1), random.integers(0, CLASSES, count)
        near = np.repeat(true, 2, axis=0) + random.normal(0, 2.5, (2 * count, 4))
        others = random.integers(0, CLASSES, 2 * count)
        near_labels = np.where(random.random(2 * count) < 0.8, np.repeat(labels, 2), others)
        far = random.uniform(0, 60, (3, 2))
        boxes = np.concatenate((near, np.concatenate((far, far + random.uniform(8, 30, (3, 2))), 1)))
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1.0)
        scores = random.integers(1, 60, len(boxes)) / 64.0
        order = np.argsort(-scores, kind="stable")
        all_labels = np.concatenate((near_labels, random.integers(0, CLASSES, 3)))
        found.append(Found(boxes[order], scores[order], all_labels[order]))
        are_crowds = random.random(count) < 0.3 if has_crowds else np.zeros(count, dtype=bool)
        truth.append(Truth(true, labels, are_crowds))
    return found, truth


def table_of(found: list[Found], truth: list[Truth]) -> Any:
    pairs = zip(found, truth, strict=True)
    return np.concatenate([image_rows(i, one, true) for i, (one, true) in enumerate(pairs)])


def percent(found: list[Found], truth: list[Truth], thresholds: int = 10) -> float:
    return float(mean_precision(table_of(found, truth), np.ones((1, len(found))), thresholds)[0])


def iou(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0.0) * max(height, 0.0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def written_out(found: list[Found], truth: list[Truth], thresholds: list[float]) -> float:
    """Image by image, class by class, box by box, in plain Python."""
    values = []
    for threshold in thresholds:
        for label in range(CLASSES):
            entries: list[tuple[float, bool]] = []
            true_count = 0
            for one, (boxes, labels, _) in zip(found, truth, strict=True):
                true = [box for box, own in zip(boxes.tolist(), labels.tolist(), strict=True) if own == label]
                true_count += len(true)
                taken = [False] * len(true)
                rows = zip(one.boxes.tolist(), one.scores.tolist(), one.labels.tolist(), strict=True)
                for box, score, _ in sorted((row for row in rows if row[2] == label), key=lambda row: -row[1]):
                    best, at = threshold, -1
                    for j, other in enumerate(true):
                        if not taken[j] and iou(box, other) >= best:
                            best, at = iou(box, other), j
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


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_the_steps_written_out(seed: int) -> None:
    found, truth = drawn(seed)
    assert percent(found, truth) == pytest.approx(written_out(found, truth, THRESHOLDS.tolist()), abs=1e-9)
    assert percent(found, truth, 1) == pytest.approx(written_out(found, truth, [0.5]), abs=1e-9)


def as_coco(found: list[Found], truth: list[Truth]) -> dict[str, Any]:
    """What COCO's evaluation reads: corner and size instead of two corners."""

    def boxes_of(boxes: Any) -> list[list[float]]:
        rows: list[list[float]] = np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1).tolist()
        return rows

    true = [
        {"image_id": i, "category_id": int(label), "bbox": box, "area": box[2] * box[3], "iscrowd": int(is_crowd)}
        for i, one in enumerate(truth)
        for box, label, is_crowd in zip(boxes_of(one.boxes), one.labels, one.are_crowds, strict=True)
    ]
    answers = [
        {"image_id": i, "category_id": int(label), "bbox": box, "score": float(score)}
        for i, one in enumerate(found)
        for box, score, label in zip(boxes_of(one.boxes), one.scores, one.labels, strict=True)
    ]
    return {
        "images": [{"id": i} for i in range(IMAGES)],
        "categories": [{"id": i} for i in range(CLASSES)],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(true, 1)],
        "answers": answers,
    }


CASES = [(seed, has_crowds) for seed in range(4) for has_crowds in (False, True)]


@pytest.fixture(scope="module")
def of_coco() -> list[tuple[float, float]]:
    """mAP and mAP50 of every case by COCO's own evaluation, in a process of its own: loading it makes the processor
    take denormal numbers for zero.
    """
    if importlib.util.find_spec("faster_coco_eval") is None:
        pytest.skip("faster-coco-eval is not installed: pip install 'qdiag[detect]'")
    given = json.dumps([as_coco(*drawn(*case)) for case in CASES])
    child = Path(__file__).with_name("coco_evaluation.py")
    answer = subprocess.run([sys.executable, child], input=given, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr
    return [(mean, half) for mean, half in json.loads(answer.stdout)]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_average_precision_is_that_of_coco(number: int, of_coco: list[tuple[float, float]]) -> None:
    found, truth = drawn(*CASES[number])
    assert any(one.are_crowds.any() for one in truth) is CASES[number][1]
    mean, half = of_coco[number]
    assert 5.0 < percent(found, truth) == pytest.approx(100.0 * mean, abs=1e-6)
    assert percent(found, truth, 1) == pytest.approx(100.0 * half, abs=1e-6)


def test_an_image_of_weight_two_counts_as_two_images() -> None:
    """Without ties, which lie in another order when images are repeated."""
    found, truth = drawn(5)
    random = np.random.default_rng(1)
    found = [Found(one.boxes, one.scores - np.sort(random.random(len(one.scores))) / 200, one.labels) for one in found]
    counts = np.random.default_rng(0).multinomial(IMAGES, np.full(IMAGES, 1.0 / IMAGES), size=6)
    weighted = mean_precision(table_of(found, truth), counts.astype(np.float64))
    for row, value in zip(counts, weighted, strict=True):
        chosen = np.repeat(np.arange(IMAGES), row)
        repeated = [found[i] for i in chosen], [truth[i] for i in chosen]
        assert value == pytest.approx(written_out(*repeated, THRESHOLDS.tolist()), abs=1e-9)


def test_many_draws_are_counted_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    table, weights = table_of(*drawn(6)), np.random.default_rng(1).integers(0, 3, (7, IMAGES)).astype(np.float64)
    whole = mean_precision(table, weights)
    monkeypatch.setattr("qdiag.simulate.task.boxes.precision._LARGEST", 200)
    assert mean_precision(table, weights).tolist() == whole.tolist()


def test_overlap_is_that_of_plain_python() -> None:
    for one, true in zip(*drawn(9), strict=True):
        expected = [[iou(a, b) for b in true.boxes.tolist()] for a in one.boxes.tolist()]
        assert overlap(one.boxes, true.boxes) == pytest.approx(np.array(expected).reshape(len(one.boxes), -1))


@pytest.mark.parametrize("side", [4, 60])
def test_each_box_takes_the_free_true_box_that_it_overlaps_most(side: int) -> None:
    """Where true boxes lie close together, so that there is a choice, and where they are apart."""
    random, choices = np.random.default_rng(side), 0
    for _ in range(40):
        count, true_count = random.integers(0, 30), random.integers(1, 6)
        corners = random.integers(0, side, (count + true_count, 2)).astype(np.float64)
        boxes = np.concatenate((corners, corners + random.integers(8, 14, (count + true_count, 2))), 1)
        labels = random.integers(0, 2, count + true_count)
        found = Found(boxes[:count], np.linspace(1.0, 0.1, count), labels[:count])
        free = [set(range(true_count)) for _ in THRESHOLDS]
        expected = np.zeros((count, len(THRESHOLDS)), dtype=bool)
        for i, t in itertools.product(range(count), range(len(THRESHOLDS))):
            shares = [
                (iou(boxes[i].tolist(), boxes[count + k].tolist()), k)
                for k in free[t]
                if labels[i] == labels[count + k]
            ]
            choices += len([1 for share, _ in shares if share >= 0.5]) > 1
            if shares and max(shares)[0] >= THRESHOLDS[t]:
                expected[i, t] = True
                free[t].remove(max(shares)[1])
        assert (hits(found, boxes[count:], labels[count:]) == expected).all()
    assert (choices > 0) == (side == 4)


def test_no_true_boxes_is_no_figure_and_nothing_found_is_zero() -> None:
    found, truth = drawn(1)
    nothing = Found(np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=np.int64))
    assert percent([nothing] * IMAGES, truth) == 0.0
    empty = Truth(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool))
    assert np.isnan(percent(found, [empty] * IMAGES))
    assert hits(found[0], empty.boxes, empty.labels).shape == (len(found[0].boxes), 10)
    table, task = table_of(found, [empty] * IMAGES), BoxPrecision(BoxReader(BoxLayout(0, 0)))
    with pytest.raises(DataError, match="no image has a true box"):
        task.figure(reference=table, simulated=table)


def test_the_interval_holds_the_difference_of_two_detectors() -> None:
    found, truth = drawn(3)
    worse = [Found(one.boxes + 3.0, one.scores, one.labels) for one in found]
    first, second = table_of(found, truth), table_of(worse, truth)
    for kind, thresholds in (("mAP", 10), ("mAP50", 1)):
        task = BoxPrecision(BoxReader(BoxLayout(0, 0)), kind)  # type: ignore[arg-type]
        figure, gain = task.figure(reference=first, simulated=second), task.gain(before=second, after=first)
        assert figure.sample_count == IMAGES
        assert figure.reference == percent(found, truth, thresholds)
        assert figure.simulated == percent(worse, truth, thresholds)
        assert gain.value == figure.loss > 1.0
        assert figure.loss_interval.low < figure.loss < figure.loss_interval.high
        assert gain.interval == figure.loss_interval
        same = task.figure(reference=first, simulated=first)
        others = 100.0 * binomtest(0, sum(len(true.labels) for true in truth)).proportion_ci(method="wilson").high
        assert (same.loss, same.loss_interval.low) == (0.0, pytest.approx(-others))
        assert same.loss_interval.high == pytest.approx(others)


def test_the_bootstrap_is_as_wide_as_the_spread_over_new_images() -> None:
    """The interval of one set of images, against the figures of thirty other sets."""
    values = [percent(*drawn(100 + seed), 1) for seed in range(30)]
    task = BoxPrecision(BoxReader(BoxLayout(0, 0)), "mAP50")
    table = table_of(*drawn(3))
    interval = task.figure(reference=table, simulated=table).simulated_interval
    assert 0.5 < (interval.high - interval.low) / (2 * 1.96 * np.std(values, ddof=1)) < 2.0
