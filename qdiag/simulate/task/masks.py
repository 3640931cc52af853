"""Segmentation and sequences: one class for each position."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.measures.task import Criterion, Figure
from qdiag.errors import DataError, TargetError
from qdiag.simulate.task.base import Gain, RowTask, Table
from qdiag.simulate.task.sums import sums_figure, sums_gain

IGNORED = 255
"""Positions with this label, or a negative one, count for nothing, as in Pascal VOC and Cityscapes."""


@dataclass(frozen=True)
class Positions:
    """Where the logits of the positions are.

    Attributes:
        index: of the output. axis: of the classes. classes: on that axis; with one, class 1 begins at `threshold`.
        are_one_hot: masks have the shape of the logits, and 1 at the class of each position.
    """

    index: int
    axis: int
    classes: int
    threshold: float = 0.0
    are_one_hot: bool = False

    def answers(self, outputs: tuple[Any, ...]) -> Tensor:
        """The class of each position, (N, P), int64; -1 where a logit is NaN."""
        x: Tensor = outputs[self.index].float().movedim(self.axis, -1)
        found = x.argmax(-1) if self.classes > 1 else (x[..., 0] > self.threshold).long()
        return torch.where(torch.isnan(x).any(-1), -1, found).reshape(x.shape[0], -1)

    @property
    def count(self) -> int:
        return max(self.classes, 2)


@dataclass(frozen=True)
class MeanIoU(RowTask):
    """Intersection over union of each class over all samples, and the mean over the classes that occur."""

    positions: Positions

    @property
    def criterion(self) -> Criterion:
        return Criterion("mIoU")

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """Intersection and union of each class in positions, (N, 2 C)."""
        del reference
        answers = self.positions.answers(outputs)
        masks = masks_of(batch, answers, self.positions)
        counted = masks >= 0
        both, either = [], []
        for c in range(self.positions.count):
            a, m = (answers == c) & counted, masks == c
            both.append((a & m).sum(1))
            either.append((a | m).sum(1))
        return torch.stack([*both, *either], 1)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        _check_counted(reference[:, self.positions.count :])
        return sums_figure(self.criterion, _mean_iou, reference=reference, simulated=simulated)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return sums_gain(self.criterion, _mean_iou, before=before, after=after)


@dataclass(frozen=True)
class PositionShare(RowTask):
    """Share of positions with the right class: that of the mask, or of the float network's answer.

    Attributes:
        noun: of a position, in the criterion's name.
    """

    positions: Positions
    is_against_float: bool
    noun: str = "pixel"

    @property
    def criterion(self) -> Criterion:
        if self.is_against_float:
            return Criterion(f"{self.noun} agreement", limit=5.0, is_against_float=True)
        return Criterion(f"{self.noun} accuracy")

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """Right positions, and all that count, (N, 2)."""
        answers = self.positions.answers(outputs)
        if self.is_against_float:
            right = answers == self.positions.answers(reference)
            return torch.stack([right.sum(1), torch.full_like(right.sum(1), right.shape[1])], 1)
        masks = masks_of(batch, answers, self.positions)
        counted = masks >= 0
        return torch.stack([((answers == masks) & counted).sum(1), counted.sum(1)], 1)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        _check_counted(reference[:, 1:])
        return sums_figure(self.criterion, _share, reference=reference, simulated=simulated)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return sums_gain(self.criterion, _share, before=before, after=after)


def masks_of(batch: Batch, answers: Tensor, positions: Positions) -> Tensor:
    """The masks beside the answers, (N, P), int64; -1 where a position is ignored.

    Raises:
        TargetError: masks of another size, or with classes that the network does not know.
    """
    masks = batch.labels
    assert isinstance(masks, Tensor)
    masks = masks.argmax(positions.axis) if positions.are_one_hot and masks.ndim > positions.axis else masks
    flat = masks.reshape(masks.shape[0], -1).long()
    if flat.shape != answers.shape:
        raise TargetError(
            f"masks have {flat.shape[1]} positions, the network answers {answers.shape[1]}",
            sample=0,
            hint="give masks of the size of the network's output",
        )
    # of a single number per position, 255 is as good a foreground as 1: that is how mask images store it
    flat = flat.clamp(-1, 1) if positions.classes == 1 else torch.where((flat < 0) | (flat == IGNORED), -1, flat)
    classes = positions.count
    if flat.device.type == "cpu" and int(flat.max()) >= classes:
        wrong = flat.amax(1) >= classes
        raise TargetError(
            f"class {int(flat[wrong][0].max())} in a mask is outside 0 to {classes - 1}",
            sample=int(wrong.nonzero()[0, 0]),
            hint=f"the network has {classes} classes, which are counted from 0; positions with {IGNORED} are ignored",
        )
    return flat.to(answers.device)


def _check_counted(counted: Table) -> None:
    if len(counted) and not counted.any():
        raise DataError(
            "every position of every mask is ignored", hint=f"positions with {IGNORED} or less than 0 count for nothing"
        )


def _mean_iou(sums: Table) -> Table:
    classes = sums.shape[1] // 2
    both, either = sums[:, :classes], sums[:, classes:]
    seen = either > 0
    iou = np.where(seen, both / np.maximum(either, 1.0), 0.0)
    count = seen.sum(1)
    mean: Table = np.where(count > 0, 100.0 * iou.sum(1) / np.maximum(count, 1), np.nan)
    return mean


def _share(sums: Table) -> Table:
    share: Table = np.where(sums[:, 1] > 0.0, 100.0 * sums[:, 0] / np.maximum(sums[:, 1], 1.0), np.nan)
    return share
