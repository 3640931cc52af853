"""Regression of a few numbers, each a quantity of its own: pixels beside a radius, an angle beside a length."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.measures.task import Criterion, Figure
from qdiag.simulate.task.base import Gain, RowTask, Table
from qdiag.simulate.task.numbers import RELATIVE_LIMIT, errors_of
from qdiag.simulate.task.sums import sums_figure, sums_gain

QUANTITIES_AT_MOST = 16
"""With more numbers an output is one vector, whose numbers have one unit."""


@dataclass(frozen=True)
class ScaledError(RowTask):
    """Mean absolute error of each number over the standard deviation of its targets, and the mean over the numbers.

    A plain mean of errors in pixels and in fractions would say nothing about the fractions. Numbers whose targets are
    constant count with their plain error.
    """

    index: int

    @property
    def criterion(self) -> Criterion:
        return Criterion("nMAE", "", "", False, RELATIVE_LIMIT, RELATIVE_LIMIT, is_relative=True)

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """Errors, targets and squares of targets, then 1, (N, 3 C + 1)."""
        del reference
        error = errors_of(batch, outputs[self.index])
        targets = outputs[self.index].double().reshape(error.shape) - error
        return torch.cat([error.abs(), targets, targets.square(), torch.ones_like(error[:, :1])], 1)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        return sums_figure(self.criterion, _value, reference=reference, simulated=simulated)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return sums_gain(self.criterion, _value, before=before, after=after)


def _value(sums: Table) -> Table:
    n = np.maximum(sums[:, -1:], 1.0)
    errors, targets, squares = np.split(sums[:, :-1] / n, 3, axis=1)
    variance = np.maximum(squares - targets**2, 0.0)
    is_constant = variance <= 1e-12 * np.maximum(squares, 1e-300)
    value: Table = (errors / np.where(is_constant, 1.0, np.sqrt(variance))).mean(1)
    return value
