"""A figure of the task against a limit: what it has lost, or what it is, with the interval that decides."""

import math

from qdiag.core.gate import GateCheck, GateRule, GateStatus
from qdiag.core.measures.task import Figure, Interval
from qdiag.core.thresholds import Limit
from qdiag.gate.contrast import drop_contrast, mean_samples_to_settle, samples_to_settle
from qdiag.gate.percent import why_ambiguous, why_no_percent
from qdiag.gate.share import share_samples_to_settle
from qdiag.gate.verdict import held, lower_status, upper_status

NO_INTERVAL = "compared as it is: a figure without scores of single samples has no interval"
NOT_A_NUMBER = "the figure is not a number"


def loss_of(figure: Figure) -> float:
    """What the quantized network has lost; from counts, so that it is exact, where there are any."""
    counts = figure.counts
    if counts is not None and figure.criterion.is_against_float and counts.sample_count:
        return 100.0 * (counts.reference_only + counts.neither) / counts.sample_count
    return figure.loss


def known(interval: Interval) -> Interval | None:
    """The interval; None where a bound is NaN."""
    return None if math.isnan(interval.low) or math.isnan(interval.high) else interval


def loss_check(rule: GateRule, figure: Figure, limit: Limit) -> GateCheck:
    """The loss of a figure, positive where the quantized network is worse, must not exceed its limit."""
    why = why_no_percent(figure.criterion, limit)
    if why is not None:
        return cannot_judge(rule, figure.criterion.harm_unit, limit, why, figure)
    value, interval = loss_of(figure), known(figure.loss_interval)
    status = upper_status(value, interval, limit)
    needed = _loss_samples(figure, limit) if status == "undecided" else None
    return checked(rule, figure, figure.criterion.harm_unit, limit, value, interval, status, needed)


def value_check(rule: GateRule, figure: Figure, limit: Limit, *, is_floor: bool = True) -> GateCheck:
    """The figure of the quantized network must not fall below its limit, or not exceed it."""
    why = why_no_percent(figure.criterion, limit) or why_ambiguous(rule, figure.criterion, limit)
    if why is not None:
        return cannot_judge(rule, figure.criterion.unit, limit, why, figure)
    value, interval, counts = figure.simulated, known(figure.simulated_interval), figure.counts
    status = (lower_status if is_floor else upper_status)(value, interval, limit)
    needed = None
    if status == "undecided" and interval is not None:
        if counts is not None:
            hits = counts.both + counts.simulated_only
            needed = share_samples_to_settle(hits, counts.sample_count, held(limit.fail))
        else:
            needed = mean_samples_to_settle(value, interval, figure.sample_count, held(limit.fail))
    return checked(rule, figure, figure.criterion.unit, limit, value, interval, status, needed)


def checked(
    rule: GateRule,
    figure: Figure,
    unit: str,
    limit: Limit,
    value: float,
    interval: Interval | None,
    status: GateStatus,
    needed: int | None,
) -> GateCheck:
    """A check with its figure; where it is undecided, the samples that would decide it, None when none would."""
    reason = "" if interval is not None else NO_INTERVAL
    if status == "undecided":
        reason = (
            "the interval includes the limit" if needed else "the figure is too close to its limit to be told apart"
        )
    if status == "cannot_judge":
        reason = NOT_A_NUMBER
    return GateCheck(
        rule,
        status,
        unit,
        held(limit.fail),
        held(limit.warn),
        value,
        interval,
        samples_needed=needed,
        reason=reason,
        criterion=figure.criterion,
    )


def cannot_judge(rule: GateRule, unit: str, limit: Limit, reason: str, figure: Figure | None = None) -> GateCheck:
    """A check without a figure."""
    criterion = figure.criterion if figure is not None else None
    return GateCheck(rule, "cannot_judge", unit, held(limit.fail), held(limit.warn), reason=reason, criterion=criterion)


def _loss_samples(figure: Figure, limit: Limit) -> int | None:
    counts = figure.counts
    if counts is None:
        return mean_samples_to_settle(figure.loss, figure.loss_interval, figure.sample_count, held(limit.fail))
    if figure.criterion.is_against_float:
        changed = counts.reference_only + counts.neither
        return share_samples_to_settle(changed, counts.sample_count, held(limit.fail))
    return samples_to_settle(drop_contrast(counts), fraction(limit))


def fraction(limit: Limit) -> float:
    """A limit in percent as a fraction; NaN without one."""
    return math.nan if limit.fail is None else limit.fail / 100.0
