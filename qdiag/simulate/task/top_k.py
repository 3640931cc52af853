"""Which samples a classifier gets right."""

import torch
from torch import Tensor


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
