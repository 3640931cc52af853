"""Figures that are means of one number per sample."""

import math

import numpy as np

from qdiag.core.measures.counts import success_intervals
from qdiag.core.measures.outcomes import SampleOutcomes, pack_numbers
from qdiag.core.measures.task import UNDEFINED, Z_95, Criterion, Figure, Interval
from qdiag.simulate.task.base import Gain, Table, difference
from qdiag.simulate.task.unspread import share_change, share_value


def mean_figure(criterion: Criterion, *, reference: Table, simulated: Table, may_be_successes: bool = False) -> Figure:
    """Means of both networks, and the interval of the mean of the paired differences.

    Args:
        reference, simulated: value and weight, (N, 2); a weight other than 1 says that the row stands for a batch,
            whose samples have no values of their own, so that there is no interval.
        may_be_successes: where every value is 0 or 1, or 0 or 100, intervals are those of shares.
    """
    outcomes = None
    if is_per_sample(simulated) and is_per_sample(reference) and len(simulated):
        outcomes = SampleOutcomes(
            len(simulated), pack_numbers(reference[:, 0]), pack_numbers(simulated[:, 0]), are_bits=False
        )
    return Figure(
        criterion,
        int(simulated[:, 1].sum()),
        weighted_mean(reference),
        weighted_mean(simulated),
        _loss_interval(criterion, reference, simulated, may_be_successes),
        _own_interval(criterion, simulated, may_be_successes),
        outcomes=outcomes,
    )


def mean_gain(criterion: Criterion, *, before: Table, after: Table, may_be_successes: bool = False) -> Gain:
    """What `after` has over `before`: the mean of the differences, with its interval over samples."""
    value = difference(criterion, before=weighted_mean(before), after=weighted_mean(after))
    interval = _loss_interval(criterion, after, before, may_be_successes)
    return Gain(value, interval if math.isfinite(value) else Interval(value, value))


def _loss_interval(criterion: Criterion, reference: Table, simulated: Table, may_be_successes: bool) -> Interval:
    """Of what `simulated` has lost, or of what `reference` has over it."""
    sign = 1.0 if criterion.higher_is_better else -1.0
    if may_be_successes and (found := _of_successes(reference, simulated)) is not None:
        return found[0] if sign > 0.0 else Interval(-found[0].high, -found[0].low)
    values = _differences(sign, reference, simulated)
    interval = _interval_of(values, reference, simulated)
    if interval.low == interval.high:
        return share_change(criterion, interval.low, len(values)) or interval
    return interval


def _own_interval(criterion: Criterion, table: Table, may_be_successes: bool) -> Interval:
    if may_be_successes and (found := _of_successes(table, table)) is not None:
        return found[1]
    interval = _interval_of(table[:, 0], table)
    if interval.low == interval.high:
        return share_value(criterion, interval.low, len(table)) or interval
    return interval


def _of_successes(one: Table, other: Table) -> tuple[Interval, Interval] | None:
    """See `success_intervals`; None where samples of either are no successes, or have no values of their own."""
    if len(one) < 2 or one.shape != other.shape or not (is_per_sample(one) and is_per_sample(other)):
        return None
    return success_intervals(one[:, 0].tolist(), other[:, 0].tolist())


def weighted_mean(table: Table) -> float:
    """Of the first column by the second; NaN without rows."""
    total = float(table[:, 1].sum())
    return float((table[:, 0] * table[:, 1]).sum() / total) if total else math.nan


def is_per_sample(table: Table) -> bool:
    """Every row stands for one sample."""
    return bool((table[:, 1] == 1.0).all())


def _differences(sign: float, one: Table, other: Table) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """Sample by sample; NaN between two infinite values."""
    if one.shape != other.shape:  # one number for a batch of one network, one for each sample of the other
        return np.full(1, np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        values: np.ndarray[tuple[int], np.dtype[np.float64]] = sign * (one[:, 0] - other[:, 0])
    return values


def _interval_of(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", *tables: Table) -> Interval:
    """95 % interval of a mean, from its spread over samples (central limit theorem)."""
    n = len(values)
    if n < 2 or not all(map(is_per_sample, tables)):
        return UNDEFINED
    if not np.isfinite(values).all():
        return UNDEFINED
    with np.errstate(over="ignore"):
        mean, margin = float(values.mean()), Z_95 * float(values.std(ddof=1)) / math.sqrt(n)
    return Interval(mean - margin, mean + margin) if math.isfinite(margin) else UNDEFINED
