"""Intervals of a metric that only an object can compute: it is computed again without each group of samples."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.measures.task import UNDEFINED, Criterion, Figure, Interval
from qdiag.loaders.data.batch import rows
from qdiag.simulate.task.base import Gain, Table, difference
from qdiag.simulate.task.unspread import share_change, share_loss, share_value

GROUPS = 10
"""Of objects that can be merged: each sees the samples of one group."""
FEW_GROUPS = 5
"""Of others: each sees all samples but those of one group, and every sample is handed over this often."""
SAMPLES_MIN = 20
_T = {10: 2.2621571628, 5: 2.7764451052}
"""Quantile of Student's t with one degree of freedom less than there are groups, two-sided 95 %."""


def group_figure(criterion: Criterion, *, reference: Table, simulated: Table) -> Figure:
    """Intervals by the delete-a-group jackknife: with the figures t_g without each of G groups, the variance of t is
    (G - 1) / G sum (t_g - mean t_g)^2. Source: Kott, Journal of Official Statistics 17(4), 2001. A percentage that is
    the same without each group has the interval of `unspread_interval`.

    Args:
        reference, simulated: the figure over all samples, without each group, and the number of samples.
    """
    count = int(simulated[-1, 0])
    found = Figure(criterion, count, float(reference[0, 0]), float(simulated[0, 0]))
    if reference.shape != simulated.shape:  # the groups of one of them took too much memory
        return found
    sign = 1.0 if criterion.higher_is_better else -1.0
    loss, own = _interval(list(sign * (reference[:-1, 0] - simulated[:-1, 0]))), _interval(list(simulated[:-1, 0]))
    if loss.low == loss.high:
        loss = share_loss(criterion, found.loss, count) or loss
    if own.low == own.high:
        own = share_value(criterion, found.simulated, count) or own
    return replace(found, loss_interval=loss, simulated_interval=own)


def group_gain(criterion: Criterion, *, before: Table, after: Table) -> Gain:
    """What `after` has over `before`; both without the same groups, so that the difference is paired."""
    sign = 1.0 if criterion.higher_is_better else -1.0
    value = difference(criterion, before=float(before[0, 0]), after=float(after[0, 0]))
    if before.shape != after.shape:
        return Gain(value, UNDEFINED)
    interval = _interval(list(sign * (after[:-1, 0] - before[:-1, 0])))
    if interval.low == interval.high:
        interval = share_change(criterion, value, float(after[-1, 0])) or interval
    return Gain(value, interval if math.isfinite(value) else Interval(value, value))


def _interval(values: Sequence[float]) -> Interval:
    whole, without = values[0], values[1:]
    if len(without) < 2:
        return UNDEFINED
    mean = sum(without) / len(without)
    variance = (len(without) - 1) / len(without) * sum((t - mean) ** 2 for t in without)
    margin = _T[len(without)] * math.sqrt(variance)
    return Interval(float(whole - margin), float(whole + margin))


def chosen_samples(
    batch: Batch, outputs: tuple[Any, ...], chosen: Sequence[bool]
) -> tuple[Batch | None, tuple[Any, ...]]:
    """The chosen samples of a batch and of its outputs; None without any."""
    indices = [i for i, is_chosen in enumerate(chosen) if is_chosen]
    if not indices:
        return None, ()
    count = batch.sample_count
    own = tuple(x[indices] if isinstance(x, Tensor) and x.ndim and x.shape[0] == count else x for x in outputs)
    return rows(batch, indices), own
