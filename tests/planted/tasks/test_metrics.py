"""The plain metrics, against values worked out by hand and against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score

from tests.planted.tasks.detector import boxes_of, detection_f1
from tests.planted.tasks.metrics import box_iou, cosine, f1, frame_accuracy, iou, suppress, top1


def test_top1_takes_the_largest_logit() -> None:
    assert top1(torch.tensor([[0.0, 2.0], [3.0, 1.0]]), torch.tensor([1, 1])).tolist() == [1.0, 0.0]


def test_frame_accuracy_is_a_share_of_frames() -> None:
    logits = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    assert frame_accuracy(logits, torch.tensor([[0, 1], [0, 1]])).tolist() == [1.0, 0.5]


def test_iou_is_that_of_scikit_learn() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, masks = torch.randn(5, 1, 8, 8, generator=generator), torch.randint(2, (5, 8, 8), generator=generator)
    found = iou(logits, masks)
    for i in range(5):
        expected = jaccard_score(masks[i].flatten().numpy(), (logits[i, 0] > 0).flatten().numpy())
        assert found[i] == pytest.approx(expected)
    assert iou(-torch.ones(1, 1, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64)).tolist() == [1.0]


def test_cosine_of_known_angles() -> None:
    a, b = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]]), torch.tensor([[5.0, 0.0], [1.0, 1.0], [0.0, -1.0]])
    assert cosine(a, b) == pytest.approx([1.0, np.sqrt(0.5), -1.0])


def test_overlap_of_boxes_by_hand() -> None:
    first, second = (
        np.array([[0.0, 0.0, 2.0, 2.0]]),
        np.array([[1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 2.0, 2.0], [5, 5, 6, 6]]),
    )
    assert box_iou(first, second) == pytest.approx(np.array([[1.0 / 7.0, 1.0, 0.0]]))


def test_of_boxes_that_overlap_the_best_of_each_class_stays() -> None:
    boxes = np.array([[0.0, 0.0, 10.0, 10.0], [1.0, 0.0, 11.0, 10.0], [0.0, 0.0, 10.0, 10.0], [50.0, 0.0, 60.0, 10.0]])
    assert suppress(boxes, np.array([0.5, 0.9, 0.4, 0.3]), np.array([0, 0, 1, 0])) == [1, 2, 3]


def test_f1_pairs_each_true_box_once_and_only_with_its_class() -> None:
    target = {"boxes": torch.tensor([[0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]]), "labels": torch.tensor([0, 1])}
    twice = np.array([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0]])
    assert f1(twice, np.array([0, 0]), target) == pytest.approx(2 * 1 / 4)
    assert f1(twice[:1], np.array([1]), target) == 0.0
    assert f1(np.asarray(target["boxes"]), np.array([0, 1]), target) == 1.0
    nothing = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    assert f1(np.zeros((0, 4)), np.zeros(0), nothing) == 1.0
    assert f1(twice, np.array([0, 0]), nothing) == 0.0


def test_predictions_become_boxes() -> None:
    prediction, scores = np.zeros((4, 3)), np.array([[0.4, 0.0, 0.1], [0.1, 0.3, 0.1]])
    prediction[:, 0], prediction[:, 1] = (0.5, 0.5, 0.2, 0.4), (0.25, 0.25, 0.1, 0.1)
    boxes, labels, best = boxes_of(prediction, scores)
    assert boxes == pytest.approx(np.array([[0.4, 0.3, 0.6, 0.7], [0.2, 0.2, 0.3, 0.3]]))
    assert (labels.tolist(), best.tolist()) == ([0, 1], [0.4, 0.3])
    output = torch.from_numpy(np.concatenate((prediction, scores)))[None]
    target = {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels)}
    assert detection_f1(output, [target]).tolist() == [1.0]
