"""Top-1, top-5 and agreement of a classifier."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.listed import count_noun
from qdiag.core.measures.task import AGREEMENT, Criterion, Figure
from qdiag.errors import TargetError
from qdiag.simulate.task.base import Gain, RowTask, Table
from qdiag.simulate.task.shares import share_figure, share_gain
from qdiag.simulate.task.top_k import is_in_top, same_top1

TOP_K = 5


@dataclass(frozen=True)
class Logits:
    """Where the logits are.

    Attributes:
        index: of the output. classes: columns. threshold: with one column, from where on the answer is class 1.
    """

    index: int
    classes: int
    threshold: float = 0.0

    def of(self, outputs: tuple[Any, ...]) -> Tensor:
        """Shape (N, classes), float32; of a single column its distance below and above the threshold."""
        x: Tensor = outputs[self.index].float()
        x = x.reshape(x.shape[0], -1)
        return x if x.shape[1] > 1 else torch.cat([self.threshold - x, x - self.threshold], 1)


@dataclass(frozen=True)
class TopK(RowTask):
    """Whether the label is among the k largest logits."""

    logits: Logits
    k: int = 1

    @property
    def criterion(self) -> Criterion:
        return Criterion(f"top-{self.k}")

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """1 where the label is among the k largest, (N, 1).

        Raises:
            TargetError: a label is outside the classes that the network knows.
        """
        del reference
        logits, labels = self.logits.of(outputs), class_numbers(batch)
        check_labels(labels, logits.shape[1])
        return is_in_top(logits, labels.to(logits.device), self.k).unsqueeze(1)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        return share_figure(self.criterion, reference=reference, simulated=simulated, keeps_outcomes=self.k == 1)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return share_gain(before=before, after=after)


@dataclass(frozen=True)
class Agreement(RowTask):
    """Whether the answer, the largest logit, is the float network's."""

    logits: Logits

    @property
    def criterion(self) -> Criterion:
        return AGREEMENT

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """1 where both have the same largest logit, (N, 1)."""
        del batch
        return same_top1(self.logits.of(reference), self.logits.of(outputs)).unsqueeze(1)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        return share_figure(self.criterion, reference=reference, simulated=simulated)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return share_gain(before=before, after=after)


def class_numbers(batch: Batch) -> Tensor:
    """The class number of each sample (N,), of one-hot rows too."""
    labels = batch.labels
    assert isinstance(labels, Tensor)
    return labels.argmax(1) if labels.ndim == 2 and labels.shape[1] > 1 else labels.reshape(-1)


def check_labels(labels: Tensor, classes: int) -> None:
    """Whether all of them are among the classes.

    Raises:
        TargetError: one is not.
    """
    # labels come from a file and lie on the CPU: looking at them makes no GPU wait
    wrong = (labels < 0) | (labels >= classes)
    if labels.device.type == "cpu" and bool(wrong.any()):
        raise TargetError(
            f"label {int(labels[wrong][0])} is outside 0 to {classes - 1}",
            sample=int(wrong.nonzero()[0, 0]),
            hint=f"the network has {count_noun(classes, 'class')}, counted from 0",
        )
