"""Which output are the logits, and which samples they get right."""

from typing import Any

import torch
from torch import Tensor

from qdiag.batches import Batch


def logits_index(outputs: tuple[Any, ...], samples: int) -> int | None:
    """The first float output of shape (N, C) with more than one class; None without one."""
    for i, x in enumerate(outputs):
        if isinstance(x, Tensor) and x.is_floating_point() and x.ndim == 2 and x.shape[0] == samples and x.shape[1] > 1:
            return i
    return None


def takes_labels(batch: Batch) -> bool:
    """The batch carries class numbers, (N,), integers."""
    labels = batch.labels
    return isinstance(labels, Tensor) and labels.ndim == 1 and not labels.is_floating_point()


def is_in_top(logits: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether each label is among the k largest logits, shape (N,), bool; a row with NaN is never right.

    Of equal logits the one with the lower class number comes first, as in `argmax`: an 8-bit output has ties, and
    accuracy must not depend on how they are sorted.
    """
    classes = logits.shape[1]
    known = (labels >= 0) & (labels < classes)
    column = labels.long().clamp(0, classes - 1).unsqueeze(1)
    own = logits.gather(1, column)
    is_earlier = torch.arange(classes, device=logits.device) < column
    ahead = (logits > own) | ((logits == own) & is_earlier)
    return known & (ahead.sum(1) < k) & ~torch.isnan(logits).any(1)


def same_top1(reference: Tensor, simulated: Tensor) -> Tensor:
    """Whether both have the same largest logit, shape (N,), bool.

    NaN in one alone is no agreement, whatever `argmax` makes of it; where both hold NaN, quantization changed nothing.
    """
    in_one, in_other = torch.isnan(reference).any(1), torch.isnan(simulated).any(1)
    return torch.where(in_one | in_other, in_one & in_other, reference.argmax(1) == simulated.argmax(1))
