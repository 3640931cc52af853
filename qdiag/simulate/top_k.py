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
    return batch.labels is not None and batch.labels.ndim == 1 and not batch.labels.is_floating_point()


def is_in_top(logits: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether each label is among the k largest logits, shape (N,), bool; a row with NaN is never right."""
    found = (logits.topk(k, dim=1).indices == labels.unsqueeze(1)).any(1)
    return found & ~torch.isnan(logits).any(1)
