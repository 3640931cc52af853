"""The values of the labels of all samples, where the shape alone does not tell what they are."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.simulate.task.masks import IGNORED


@dataclass(frozen=True)
class LabelValues:
    """What the labels of all samples hold.

    Attributes:
        low, high: least and largest number.
        highest_class: the largest one that counts as a class number; -1 where none does.
        are_whole: all are whole numbers. are_zero_or_one: all are 0 or 1.
        one_hot_axes: axes along which exactly one number is 1 and all others are 0; the first axis counts samples.
    """

    low: float = 0.0
    high: float = 0.0
    highest_class: int = -1
    are_whole: bool = True
    are_zero_or_one: bool = True
    one_hot_axes: frozenset[int] = frozenset()

    @property
    def are_bits(self) -> bool:
        """Background and foreground, of which the latter occurs."""
        return self.are_zero_or_one and self.high == 1.0


def values_of(labels: Tensor) -> LabelValues:
    """Of one batch."""
    labels = (
        labels if labels.is_floating_point() or labels.dtype == torch.uint8 else labels.long()
    )  # torch orders these
    if not labels.numel():
        return LabelValues(one_hot_axes=frozenset(range(1, labels.ndim)))
    low, high = (float(x) for x in labels.aminmax())
    are_whole = not labels.is_floating_point() or bool((labels == labels.round()).all())
    are_bits = are_whole and low >= 0.0 and high <= 1.0
    axes = [a for a in range(1, labels.ndim) if are_bits and labels.shape[a] > 1 and bool((labels.sum(a) == 1).all())]
    counted = labels[(labels >= 0) & (labels != IGNORED)]
    highest = int(counted.max()) if are_whole and counted.numel() else -1
    return LabelValues(low, high, highest, are_whole, are_bits, frozenset(axes))


def values_of_all(batches: Iterable[Batch]) -> LabelValues:
    """Of all batches whose labels are tensors: every batch is looked at."""
    parts = [values_of(batch.labels) for batch in batches if isinstance(batch.labels, Tensor)]
    if not parts:
        return LabelValues()
    axes: Any = frozenset.intersection(*(part.one_hot_axes for part in parts))
    return LabelValues(
        min(part.low for part in parts),
        max(part.high for part in parts),
        max(part.highest_class for part in parts),
        all(part.are_whole for part in parts),
        all(part.are_zero_or_one for part in parts),
        axes,
    )
