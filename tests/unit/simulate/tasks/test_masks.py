"""Segmentation and sequences, against counts in plain loops."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from qdiag.errors import DataError
from qdiag.simulate.task.masks import MeanIoU, Positions, PositionShare
from tests.judged import gained, judged, tables

Ints = npt.NDArray[np.int64]


def scene(n: int = 12, classes: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits (N, C, 5, 6) of two networks, and masks that the first one mostly finds."""
    generator = torch.Generator().manual_seed(seed)
    reference = torch.randn(n, classes, 5, 6, generator=generator)
    simulated = reference + 0.8 * torch.randn(reference.shape, generator=generator)
    noise = torch.randint(0, classes, (n, 5, 6), generator=generator)
    masks = torch.where(torch.rand(n, 5, 6, generator=generator) < 0.7, reference.argmax(1), noise)
    masks[0, 0] = 255
    masks[-1, 2, :3] = -1
    return reference, simulated, masks


def iou_by_loops(answers: Ints, masks: Ints, classes: int) -> float:
    """Per cent: the mean over classes that occur in an answer or a mask."""
    shares = []
    for c in range(classes):
        both = either = 0
        for answer, label in zip(answers.ravel().tolist(), masks.ravel().tolist(), strict=True):
            if label == 255 or label < 0:
                continue
            both += answer == c and label == c
            either += c in (answer, label)
        if either:
            shares.append(both / either)
    return 100.0 * sum(shares) / len(shares)


def accuracy_by_loops(answers: Ints, masks: Ints) -> float:
    pairs = zip(answers.ravel().tolist(), masks.ravel().tolist(), strict=True)
    counted = [(answer, label) for answer, label in pairs if 0 <= label != 255]
    return 100.0 * sum(answer == label for answer, label in counted) / len(counted)


POSITIONS = Positions(0, 1, 4)


def test_miou_counts_each_class_over_all_samples() -> None:
    reference, simulated, masks = scene()
    figure = judged(MeanIoU(POSITIONS), reference, simulated, masks)
    for value, logits in ((figure.reference, reference), (figure.simulated, simulated)):
        assert value == pytest.approx(iou_by_loops(logits.numpy().argmax(1), masks.numpy(), 4))
    assert figure.loss == pytest.approx(figure.reference - figure.simulated)
    assert figure.loss_interval.low < figure.loss < figure.loss_interval.high
    assert figure.simulated_interval.low < figure.simulated < figure.simulated_interval.high


def test_pixel_accuracy_leaves_out_ignored_pixels() -> None:
    reference, simulated, masks = scene()
    figure = judged(PositionShare(POSITIONS, is_against_float=False), reference, simulated, masks)
    assert figure.criterion.name == "pixel accuracy"
    for value, logits in ((figure.reference, reference), (figure.simulated, simulated)):
        assert value == pytest.approx(accuracy_by_loops(logits.numpy().argmax(1), masks.numpy()))


def test_pixel_agreement_needs_no_masks() -> None:
    reference, simulated, _ = scene()
    figure = judged(PositionShare(POSITIONS, is_against_float=True), reference, simulated)
    same = reference.numpy().argmax(1) == simulated.numpy().argmax(1)
    assert figure.criterion.name == "pixel agreement"
    assert (figure.reference, figure.simulated) == (100.0, pytest.approx(100.0 * same.mean()))


def test_classes_that_never_occur_do_not_count() -> None:
    """Two of four classes occur in masks or answers: the mean is over two."""
    masks = torch.tensor([[0, 1, 1, 1]]).repeat(2, 1)
    logits = torch.nn.functional.one_hot(torch.tensor([[0, 0, 1, 1]]).repeat(2, 1), 4).float().movedim(-1, 1)
    figure = judged(MeanIoU(POSITIONS), logits, logits, masks)
    assert figure.reference == pytest.approx(100.0 * (1 / 2 + 2 / 3) / 2)


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 1, 5, 6), (2, 30)])
def test_masks_may_have_an_axis_of_one(shape: tuple[int, ...]) -> None:
    reference, simulated, masks = scene(n=2)
    wanted = judged(MeanIoU(POSITIONS), reference, simulated, masks)
    assert judged(MeanIoU(POSITIONS), reference, simulated, masks.reshape(shape)) == wanted


@pytest.mark.parametrize("threshold", [0.0, 0.5])
@pytest.mark.parametrize("foreground", [1, 255])
def test_one_channel_is_background_and_foreground(threshold: float, foreground: int) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(6, 1, 8, 8, generator=generator)
    masks = (torch.rand(6, 8, 8, generator=generator) < 0.4).long()
    answers = (logits[:, 0] > threshold).long().numpy()
    figure = judged(MeanIoU(Positions(0, 1, 1, threshold)), logits, logits, (masks * foreground).to(torch.uint8))
    assert figure.reference == pytest.approx(iou_by_loops(answers, masks.numpy(), 2))


def test_one_channel_leaves_out_negative_labels() -> None:
    logits = torch.tensor([[[[1.0, 1.0, -1.0, 1.0]]]])
    figure = judged(MeanIoU(Positions(0, 1, 1)), logits, logits, torch.tensor([[[1, 0, 0, -1]]]))
    assert figure.reference == pytest.approx(50.0)


def test_sequences_have_their_classes_last() -> None:
    generator = torch.Generator().manual_seed(2)
    reference = torch.randn(9, 7, 5, generator=generator)
    simulated = reference + torch.randn(9, 7, 5, generator=generator)
    labels = torch.randint(-1, 5, (9, 7), generator=generator)
    share = PositionShare(Positions(0, 2, 5), is_against_float=False, noun="step")
    figure = judged(share, reference, simulated, labels)
    assert figure.criterion.name == "step accuracy"
    assert figure.simulated == pytest.approx(accuracy_by_loops(simulated.numpy().argmax(2), labels.numpy()))


def test_nan_is_no_answer() -> None:
    reference, _, masks = scene()
    broken = reference.clone()
    broken[3, 2] = torch.nan
    broken[0, :, 0] = torch.nan  # where the masks are ignored
    answers = reference.numpy().argmax(1)
    answers[3] = -1
    share = judged(PositionShare(POSITIONS, is_against_float=False), reference, broken, masks)
    assert share.simulated == pytest.approx(accuracy_by_loops(answers, masks.numpy()))
    assert judged(MeanIoU(POSITIONS), reference, broken, masks).simulated == pytest.approx(
        iou_by_loops(answers, masks.numpy(), 4)
    )
    agreement = judged(PositionShare(POSITIONS, is_against_float=True), reference, broken)
    assert agreement.simulated == pytest.approx(100.0 * (1 - (30 + 6) / (12 * 30)))


def test_ignored_pixels_without_an_answer_are_not_right() -> None:
    """No share is above 100 %."""
    logits = torch.full((2, 3, 2, 2), torch.nan)
    masks = torch.tensor([[[255, 255], [255, 1]]]).repeat(2, 1, 1)
    share = judged(PositionShare(Positions(0, 1, 3), is_against_float=False), logits, logits, masks)
    assert share.reference == 0.0


def test_gain_is_what_the_repaired_network_has_more() -> None:
    reference, simulated, masks = scene()
    task = MeanIoU(POSITIONS)
    gain = gained(task, reference, simulated, reference, masks)
    figure = judged(task, reference, simulated, masks)
    assert gain.value == pytest.approx(figure.loss)
    assert (gain.interval.low, gain.interval.high) == pytest.approx(
        (figure.loss_interval.low, figure.loss_interval.high)
    )


@pytest.mark.parametrize(
    ("masks", "match"),
    [
        (torch.zeros(2, 5, 7, dtype=torch.int64), "masks have 35 positions, the network answers 30"),
        (torch.full((2, 5, 6), 4), "class 4 in a mask is outside 0 to 3"),
    ],
)
def test_masks_that_do_not_fit_are_refused(masks: torch.Tensor, match: str) -> None:
    with pytest.raises(DataError, match=match):
        judged(MeanIoU(POSITIONS), torch.zeros(2, 4, 5, 6), torch.zeros(2, 4, 5, 6), masks)


def test_one_sample_has_no_interval() -> None:
    reference, simulated, masks = scene(n=1)
    figure = judged(MeanIoU(POSITIONS), reference, simulated, masks)
    assert math.isnan(figure.loss_interval.low) and figure.sample_count == 1
    assert tables(MeanIoU(POSITIONS), reference, simulated, masks)[0].shape == (1, 8)
