"""Thresholds on the share of right answers: drop, relative drop, accuracy, and answers that changed."""

from collections.abc import Callable, Iterator
from functools import partial

from qdiag.core.gate import GateCheck, GateRule
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import Figure, Interval
from qdiag.core.thresholds import Limit, Thresholds
from qdiag.gate.contrast import (
    mean_samples_to_settle,
    relative_contrast,
    relative_drop_interval,
    samples_to_settle,
)
from qdiag.gate.evidence import why_no_accuracy, why_no_agreement
from qdiag.gate.figures import cannot_judge, checked, fraction, known, loss_check, value_check
from qdiag.gate.verdict import upper_status


def accuracy_checks(measurement: Measurement, thresholds: Thresholds) -> Iterator[GateCheck]:
    """One check for every threshold on right answers that is set."""
    accuracy, reason = measurement.task.accuracy, why_no_accuracy(measurement)
    asked: tuple[tuple[GateRule, str, Limit, Callable[[Figure, Limit], GateCheck]], ...] = (
        ("max_drop", "pp", thresholds.max_drop_pp, partial(loss_check, "max_drop")),
        ("max_relative_drop", "%", thresholds.max_relative_drop_percent, relative_drop_check),
        ("min_accuracy", "%", thresholds.min_accuracy_percent, partial(value_check, "min_accuracy")),
    )
    for rule, unit, limit, check in asked:
        if limit.is_set:
            yield check(accuracy, limit) if accuracy and not reason else cannot_judge(rule, unit, limit, reason or "")
    flips, agreement = thresholds.max_flips_percent, measurement.task.agreement
    if flips.is_set:
        reason = why_no_agreement(measurement)
        if agreement is None or reason:
            yield cannot_judge("max_flips", "%", flips, reason or "")
        else:
            yield loss_check("max_flips", agreement, flips)


def relative_drop_check(figure: Figure, limit: Limit) -> GateCheck:
    """The drop as a share of the float network's figure.

    Without counts, the interval is that of the drop over the float network's figure, which is then taken as known.
    """
    if not figure.reference > 0.0:
        return cannot_judge("max_relative_drop", "%", limit, "the float network is right on no sample", figure)
    value, counts = 100.0 * figure.loss / figure.reference, figure.counts
    if counts is not None:
        interval: Interval | None = relative_drop_interval(counts)
    else:
        bounds = (100.0 * bound / figure.reference for bound in (figure.loss_interval.low, figure.loss_interval.high))
        interval = known(Interval(*bounds))
    status = upper_status(value, interval, limit)
    needed = None
    if status == "undecided" and interval is not None:
        if counts is not None:
            needed = samples_to_settle(relative_contrast(counts, fraction(limit)), 0.0)
        else:
            needed = mean_samples_to_settle(value, interval, figure.sample_count, 100.0 * fraction(limit))
    return checked("max_relative_drop", figure, "%", limit, value, interval, status, needed)
