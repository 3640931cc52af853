"""Intervals of a metric that only an object can compute: it is computed again without each group of samples."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.measures.task import UNDEFINED, Criterion, Figure, Interval
from qdiag.loaders.data.batch import rows
from qdiag.simulate.task.base import Gain, Table, difference

GROUPS = 10
_T_9 = 2.2621571628
"""Quantile of Student's t with nine degrees of freedom, two-sided 95 %."""


def group_of(sample: int) -> int:
    """The group of a sample, by its position in the data."""
    return sample % GROUPS


def group_figure(criterion: Criterion, *, reference: Table, simulated: Table) -> Figure:
    """Intervals by the delete-a-group jackknife: with the figures t_g without each of G groups, the variance of t is
    (G - 1) / G sum (t_g - mean t_g)^2. Source: Kott, Journal of Official Statistics 17(4), 2001.

    Args:
        reference, simulated: the figure over all samples, without each group, and the number of samples.
    """
    sign = 1.0 if criterion.higher_is_better else -1.0
    loss = sign * (reference[:-1, 0] - simulated[:-1, 0])
    return Figure(
        criterion,
        int(simulated[-1, 0]),
        float(reference[0, 0]),
        float(simulated[0, 0]),
        _interval(list(loss)),
        _interval(list(simulated[:-1, 0])),
    )


def group_gain(criterion: Criterion, *, before: Table, after: Table) -> Gain:
    """What `after` has over `before`; both without the same groups, so that the difference is paired."""
    sign = 1.0 if criterion.higher_is_better else -1.0
    value = difference(criterion, before=float(before[0, 0]), after=float(after[0, 0]))
    interval = _interval(list(sign * (after[:-1, 0] - before[:-1, 0])))
    return Gain(value, interval if math.isfinite(value) else Interval(value, value))


def _interval(values: Sequence[float]) -> Interval:
    whole, without = values[0], values[1:]
    if len(without) < 2:
        return UNDEFINED
    mean = sum(without) / len(without)
    variance = (len(without) - 1) / len(without) * sum((t - mean) ** 2 for t in without)
    margin = _T_9 * math.sqrt(variance)
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
