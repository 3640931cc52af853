"""Whether the numbers of an output differ in size as quantities do, and the scores of classes do not."""

from typing import Any

import torch
from torch import Tensor

from qdiag.simulate.task.quantities import QUANTITIES_AT_MOST

_RATIO = 16.0
"""Four bits, as where QD210 looks; classes are trained alike, so that their scores vary about equally."""
_LEAST = 4
"""Samples of which a spread says anything."""


def are_unequal(values: Any, columns: int) -> bool:
    """Among few numbers, those that vary most over samples vary sixteen times as much as those that vary least.

    The spread counts rather than the level: samples of a single class raise the level of its score. Numbers that are
    constant say nothing.

    Args:
        values: of one batch, (N, C) or (N, C, 1, 1).
    """
    if not isinstance(values, Tensor) or not 2 <= columns <= QUANTITIES_AT_MOST or len(values) < _LEAST:
        return False
    spreads = values.reshape(len(values), -1).double().std(0)
    spreads = spreads[torch.isfinite(spreads) & (spreads > 0.0)]
    return len(spreads) > 1 and bool(spreads.max() > _RATIO * spreads.min())
