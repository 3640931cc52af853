"""Thresholds on the task: drop, relative drop, accuracy, flips."""

import math
from collections.abc import Callable, Iterator

from qdiag.core.gate import GateCheck, GateRule, GateStatus, Limit, Thresholds
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import Interval, PairedCounts
from qdiag.gate.contrast import drop_contrast, relative_contrast, relative_drop_interval, samples_to_settle
from qdiag.gate.evidence import why_no_accuracy
from qdiag.gate.share import share_interval, share_samples_to_settle
from qdiag.gate.verdict import held, lower_status, upper_status


def accuracy_checks(measurement: Measurement, thresholds: Thresholds) -> Iterator[GateCheck]:
    """One check for every threshold on the task that is set."""
    top1 = measurement.task.top1
    no_labels = why_no_accuracy(measurement)
    asked: tuple[tuple[GateRule, str, Limit, Callable[[PairedCounts, Limit], GateCheck]], ...] = (
        ("max_drop", "pp", thresholds.max_drop_pp, drop_check),
        ("max_relative_drop", "%", thresholds.max_relative_drop_percent, relative_drop_check),
        ("min_accuracy", "%", thresholds.min_accuracy_percent, accuracy_check),
    )
    for rule, unit, limit, check in asked:
        if limit.is_set:
            yield check(top1, limit) if top1 and not no_labels else cannot_judge(rule, unit, limit, no_labels or "")
    flips = thresholds.max_flips_percent
    if flips.is_set:
        reason = why_no_accuracy(measurement, needs_labels=False)
        yield cannot_judge("max_flips", "%", flips, reason) if reason else flips_check(measurement, flips)


def cannot_judge(rule: GateRule, unit: str, limit: Limit, reason: str) -> GateCheck:
    """A check without a figure."""
    return GateCheck(rule, "cannot_judge", unit, held(limit.fail), held(limit.warn), reason=reason)


def drop_check(counts: PairedCounts, limit: Limit) -> GateCheck:
    """Top-1 of the float network minus that of the quantized one, in points."""
    interval = counts.drop_interval_pp
    status = upper_status(counts.drop_pp, interval, limit)
    needed = samples_to_settle(drop_contrast(counts), _fraction(limit)) if status == "undecided" else None
    return _judged("max_drop", "pp", limit, counts.drop_pp, interval, status, needed)


def relative_drop_check(counts: PairedCounts, limit: Limit) -> GateCheck:
    """The drop as a share of the float network's top-1."""
    if not counts.reference_percent > 0.0:
        return cannot_judge("max_relative_drop", "%", limit, "the float network is right on no sample")
    value, interval = 100.0 * counts.drop_pp / counts.reference_percent, relative_drop_interval(counts)
    status = upper_status(value, interval, limit)
    needed = samples_to_settle(relative_contrast(counts, _fraction(limit)), 0.0) if status == "undecided" else None
    return _judged("max_relative_drop", "%", limit, value, interval, status, needed)


def accuracy_check(counts: PairedCounts, limit: Limit) -> GateCheck:
    """Top-1 of the quantized network."""
    hits = counts.both + counts.simulated_only
    interval = share_interval(hits, counts.sample_count)
    status = lower_status(counts.simulated_percent, interval, limit)
    needed = share_samples_to_settle(hits, counts.sample_count, held(limit.fail)) if status == "undecided" else None
    return _judged("min_accuracy", "%", limit, counts.simulated_percent, interval, status, needed)


def flips_check(measurement: Measurement, limit: Limit) -> GateCheck:
    """Samples on which the two networks differ in top-1."""
    task = measurement.task
    flips = task.sample_count - (task.agreement_count or 0)
    value, interval = 100.0 * flips / task.sample_count, share_interval(flips, task.sample_count)
    status = upper_status(value, interval, limit)
    needed = share_samples_to_settle(flips, task.sample_count, held(limit.fail)) if status == "undecided" else None
    return _judged("max_flips", "%", limit, value, interval, status, needed)


def _judged(
    rule: GateRule, unit: str, limit: Limit, value: float, interval: Interval, status: GateStatus, needed: int | None
) -> GateCheck:
    """A check with its figure; where it is undecided, the samples that would settle it, None when none would."""
    reason = "the figure is too close to its limit to be told apart"
    if needed:
        reason = "the interval includes the limit"
    return GateCheck(
        rule,
        status,
        unit,
        held(limit.fail),
        held(limit.warn),
        value,
        interval,
        samples_needed=needed,
        reason=reason if status == "undecided" else "",
    )


def _fraction(limit: Limit) -> float:
    return math.nan if limit.fail is None else limit.fail / 100.0
