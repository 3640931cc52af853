"""What an object computes over all samples, and without each group of them."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from qdiag.batches import Batch
from qdiag.simulate.task.base import Table
from qdiag.simulate.task.meters.groups import FEW_GROUPS, GROUPS, SAMPLES_MIN, chosen_samples
from qdiag.simulate.task.meters.held import held_bytes

HELD_AT_MOST = 1 << 30
"""Bytes that the objects of all groups of one network may hold; beyond, the figure has no interval."""
_GROWTH = 1.25
"""What objects hold is counted again when there are so many times as many samples."""
_EXACT_REDUCTIONS = ("dim_zero_sum", "dim_zero_cat", "dim_zero_max", "dim_zero_min")

Update = Callable[[Any, Batch, tuple[Any, ...]], None]


class MeterTally:
    """One object for all samples, and one for each group.

    Objects with `merge_state`, as those of torchmetrics, see one group each, and are merged for what is computed
    without one of them; others see all samples but one group.

    Args:
        fresh: makes an empty object. update: hands it a batch. value: computes its figure.
    """

    def __init__(self, fresh: Callable[[], Any], update: Update, value: Callable[[Any], float]) -> None:
        self._update, self._value = update, value
        self._whole = fresh()
        self._can_merge = can_merge(self._whole)
        self._groups = [fresh() for _ in range(GROUPS if self._can_merge else FEW_GROUPS)]
        self._count, self._looked_at = 0, 0
        self._table: Table | None = None

    def add(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> None:
        """Adds one batch to every object whose samples it has."""
        del reference
        self._table = None
        self._update(self._whole, batch, outputs)
        own = [(self._count + i) % max(len(self._groups), 1) for i in range(batch.sample_count)]
        self._count += batch.sample_count
        for number, meter in enumerate(self._groups):
            part, values = chosen_samples(batch, outputs, [(group == number) is self._can_merge for group in own])
            if part is not None:
                self._update(meter, part, values)
        if self._groups and self._count >= _GROWTH * self._looked_at:
            self._looked_at = self._count
            if held_bytes(self._groups) > HELD_AT_MOST:
                self._groups = []

    def table(self) -> Table:
        """The metric over all samples, then without each group, then the number of samples, (2 + groups, 1).

        There are no groups of few samples, nor where their objects held too much.
        """
        if self._table is None:  # asked once: what `compute` does to its object is not known
            self._table = self._computed()
        return self._table

    def _computed(self) -> Table:
        values = [self._value(self._whole)] if self._count else [math.nan]
        if self._count >= SAMPLES_MIN:
            values += [self._without(number) for number in range(len(self._groups))]
        return np.array([*values, float(self._count)]).reshape(-1, 1)

    def _without(self, left_out: int) -> float:
        if not self._can_merge:
            return self._value(self._groups[left_out])
        first, *others = (meter for number, meter in enumerate(self._groups) if number != left_out)
        merged = copy.deepcopy(first)
        for meter in others:
            merged.merge_state(meter)
        return self._value(merged)


def can_merge(meter: Any) -> bool:
    """It has `merge_state`, and is not of those of torchmetrics that refuse it, or merge means of unequal parts."""
    is_refused = getattr(meter, "full_state_update", False) is not False or getattr(meter, "dist_sync_on_step", False)
    reductions = getattr(meter, "_reductions", {})
    are_exact = all(getattr(one, "__name__", "") in _EXACT_REDUCTIONS for one in reductions.values())
    return callable(getattr(meter, "merge_state", None)) and not is_refused and are_exact
