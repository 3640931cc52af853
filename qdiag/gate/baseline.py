"""A baseline is made from a result, and a result is held against a baseline."""

import math
from collections.abc import Iterator
from dataclasses import replace

from qdiag.core.baseline import NUMBERS_AT_MOST, OUTCOMES_AT_MOST, Baseline, BaselineCause
from qdiag.core.gate import GateCheck, GateRule, GateStatus
from qdiag.core.measures.change import change_interval, mean_interval, numbers_of, same_criterion
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import Figure, Interval, TaskResult
from qdiag.core.thresholds import Limit, Thresholds
from qdiag.gate.causes import NO_BASELINE
from qdiag.gate.contrast import Contrast, drop_change_contrast, flips_change_contrast, samples_to_settle
from qdiag.gate.evidence import (
    GateEvidence,
    quantized_records,
    why_no_accuracy,
    why_no_agreement,
    why_no_metric,
)
from qdiag.gate.figures import NO_INTERVAL, NOT_A_NUMBER, cannot_judge, known, loss_of
from qdiag.gate.fingerprint import fingerprints, mismatch
from qdiag.gate.percent import why_no_percent
from qdiag.gate.verdict import held, lower_status

_DECIMALS = 1


def make_baseline(evidence: GateEvidence) -> Baseline:
    """What is kept of a result; layers to a tenth of a dB, so that the file changes only where something did."""
    measurement, task = evidence.measurement, evidence.measurement.task
    causes = None
    if evidence.ranking is not None:
        claimed = {BaselineCause(c.code, tuple(sorted(set(c.layers)))) for c in evidence.ranking.claimed}
        causes = tuple(sorted(claimed, key=lambda cause: (cause.code, cause.layers)))
    local = {record.name: round(record.local.sqnr_db, _DECIMALS) for record in quantized_records(measurement)}
    layers = {name: value for name, value in local.items() if not math.isinf(value)}
    return Baseline(
        fingerprints=fingerprints(measurement),
        sample_count=task.sample_count,
        figures=tuple(_kept(figure) for figure in task.figures),
        output_sqnr_db=evidence.output_sqnr_db,
        causes=causes,
        layer_sqnr_db=dict(sorted(layers.items())),
    )


def _kept(figure: Figure) -> Figure:
    """Without the outcomes of samples where these are too many for a file that is committed."""
    outcomes = figure.outcomes
    if outcomes is None or outcomes.count <= (OUTCOMES_AT_MOST if outcomes.are_bits else NUMBERS_AT_MOST):
        return figure
    return replace(figure, outcomes=None)


def baseline_checks(evidence: GateEvidence, baseline: Baseline | None, thresholds: Thresholds) -> Iterator[GateCheck]:
    """At most one check on answers, one on the judged figure, and one on the SQNR of the output."""
    measurement = evidence.measurement
    reason = NO_BASELINE if baseline is None else mismatch(fingerprints(measurement), baseline)
    if thresholds.tolerance_pp.is_set:
        yield _answers_check(measurement, baseline, thresholds.tolerance_pp, reason)
    if thresholds.tolerance_metric.is_set:
        now, before = measurement.task.judged, baseline.task.judged if baseline is not None else None
        why = reason or why_no_metric(measurement)
        yield _figure_check("baseline_metric", "", thresholds.tolerance_metric, (now, before), why)
    db = thresholds.tolerance_db
    if db.is_set:
        if baseline is None or reason:
            yield cannot_judge("baseline_sqnr", "dB", db, reason or NO_BASELINE)
        else:
            yield _sqnr_check(evidence.output_sqnr_db, baseline.output_sqnr_db, db)


def with_baseline(check: GateCheck, baseline: Baseline) -> GateCheck:
    """The figure of the baseline and the change beside a check that does not go by them."""
    if check.rule not in _SHOWN or not math.isnan(check.baseline) or math.isnan(check.value):
        return check
    before = _baseline_value(check, baseline)
    return replace(check, baseline=before, change=_difference(check.value, before))


def _answers_check(measurement: Measurement, baseline: Baseline | None, limit: Limit, reason: str | None) -> GateCheck:
    """Right answers where either side counts them, answers that changed otherwise."""
    task, old = measurement.task, baseline.task if baseline is not None else TaskResult(0)
    if task.accuracy is not None or old.accuracy is not None or not (task.agreement or old.agreement):
        why = reason or why_no_accuracy(measurement)
        return _figure_check("baseline_drop", "pp", limit, (task.accuracy, old.accuracy), why)
    why = reason or why_no_agreement(measurement)
    return _figure_check("baseline_flips", "pp", limit, (task.agreement, old.agreement), why)


def _figure_check(
    rule: GateRule, unit: str, limit: Limit, figures: tuple[Figure | None, Figure | None], reason: str | None
) -> GateCheck:
    """The growth of a loss, from the figure of the baseline to the one of now."""
    now, before = figures
    if now is None or reason:
        return cannot_judge(rule, unit, limit, reason or NO_BASELINE, now)
    if (why := why_no_percent(now.criterion, limit)) is not None:
        return cannot_judge(rule, unit, limit, why, now)
    if before is None or not same_criterion(now, before):
        has = before.criterion.name if before is not None else "no such figure"
        why = f"the baseline has {has}, this result {now.criterion.name}: `update_baseline` `accept` writes it anew"
        return cannot_judge(rule, unit, limit, why, now)
    return _changed(rule, unit or now.criterion.change_unit, limit, now, before)


def _changed(rule: GateRule, unit: str, limit: Limit, now: Figure, before: Figure) -> GateCheck:
    """A change within its tolerance passes by itself: both figures are of the same samples. Beyond, it must be sure."""
    value, old = loss_of(now), loss_of(before)
    change, contrast = _difference(value, old), _contrast(now, before)
    interval = known(_change_interval(now, before, contrast))
    status: GateStatus = "pass"
    needed = None
    if math.isnan(change):
        status = "cannot_judge"
    elif limit.fail is not None and change > limit.fail:
        status = "fail" if interval is None or interval.low > limit.fail else "undecided"
        if status == "undecided" and contrast is not None:
            needed = samples_to_settle(contrast, limit.fail / 100.0)
    elif limit.warn is not None and change > limit.warn:
        status = "warn"
    reason = NO_INTERVAL if interval is None else ""
    return GateCheck(
        rule,
        status,
        unit,
        held(limit.fail),
        held(limit.warn),
        value,
        interval,
        baseline=old,
        change=change,
        samples_needed=needed,
        reason={"undecided": "the change is not beyond noise", "cannot_judge": NOT_A_NUMBER}.get(status, reason),
        criterion=now.criterion,
    )


def _contrast(now: Figure, before: Figure) -> Contrast | None:
    """Of outcomes that are successes or none, where both sides kept them."""
    if now.outcomes is None or before.outcomes is None:
        return None
    change = flips_change_contrast if now.criterion.is_against_float else drop_change_contrast
    return change(now.outcomes, before.outcomes)


def _change_interval(now: Figure, before: Figure, contrast: Contrast | None) -> Interval:
    """Of the growth of the loss: on pairs where both sides kept the outcomes of samples, else from both intervals."""
    if contrast is not None:
        return Interval(100.0 * contrast.interval.low, 100.0 * contrast.interval.high)
    own, old = numbers_of(now.outcomes), numbers_of(before.outcomes)
    if own is None or old is None or len(own[0]) != len(old[0]):
        return change_interval(loss_of(now), now.loss_interval, loss_of(before), before.loss_interval)
    sign = 1.0 if now.criterion.higher_is_better else -1.0
    return mean_interval(sign * ((r - s) - (p - q)) for r, s, p, q in zip(*own, *old, strict=True))


def _sqnr_check(value: float, before: float, limit: Limit) -> GateCheck:
    change = _difference(value, before)
    fail, warn = (None if level is None else -level for level in (limit.fail, limit.warn))
    return GateCheck(
        "baseline_sqnr",
        lower_status(change, None, Limit(fail, warn)),
        "dB",
        held(limit.fail),
        held(limit.warn),
        value,
        baseline=before,
        change=change,
    )


_SHOWN = {
    *("max_drop", "max_relative_drop", "min_accuracy", "max_flips", "max_metric_drop", "min_metric", "max_metric"),
    *("min_sqnr", "min_layer_sqnr"),
}


def _baseline_value(check: GateCheck, baseline: Baseline) -> float:
    if check.rule == "min_sqnr":
        return baseline.output_sqnr_db
    if check.rule == "min_layer_sqnr":
        return baseline.layer_sqnr_db.get(check.layer or "", math.nan)
    figure = _of_rule(check.rule, baseline.task)
    if figure is None or check.criterion is None or figure.criterion.name != check.criterion.name:
        return math.nan
    if check.rule in ("min_accuracy", "min_metric", "max_metric"):
        return figure.simulated
    if check.rule == "max_relative_drop":
        return 100.0 * figure.loss / figure.reference if figure.reference > 0.0 else math.nan
    return loss_of(figure)


def _of_rule(rule: GateRule, task: TaskResult) -> Figure | None:
    """The figure that a rule speaks of."""
    if rule in ("max_metric_drop", "min_metric", "max_metric"):
        return task.judged
    return task.agreement if rule == "max_flips" else task.accuracy


def _difference(now: float, before: float) -> float:
    """Equal infinities differ by nothing."""
    return 0.0 if now == before else now - before
