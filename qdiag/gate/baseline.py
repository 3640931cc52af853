"""A baseline is made from a result, and a result is held against a baseline."""

import math
from collections.abc import Iterator
from dataclasses import replace

from qdiag.core.baseline import Baseline, BaselineCause
from qdiag.core.gate import GateCheck, GateRule, GateStatus, Limit, Thresholds
from qdiag.core.measurement import Measurement
from qdiag.core.task import Interval
from qdiag.gate.accuracy import cannot_judge
from qdiag.gate.causes import NO_BASELINE
from qdiag.gate.evidence import GateEvidence, quantized_records, why_no_accuracy
from qdiag.gate.fingerprint import fingerprints, mismatch
from qdiag.gate.share import share_interval
from qdiag.gate.verdict import held, lower_status

_DECIMALS = 1


def make_baseline(evidence: GateEvidence) -> Baseline:
    """What is kept of a result; layers to a tenth of a dB, so that the file changes only where something did."""
    measurement, task = evidence.measurement, evidence.measurement.task
    causes = None
    if evidence.ranking is not None:
        claimed = {BaselineCause(c.code, tuple(sorted(set(c.layers)))) for c in evidence.ranking.claimed}
        causes = tuple(sorted(claimed, key=lambda cause: (cause.code, cause.layers)))
    layers = {record.name: round(record.local.sqnr_db, _DECIMALS) for record in quantized_records(measurement)}
    return Baseline(
        fingerprints=fingerprints(measurement),
        sample_count=task.sample_count,
        top1=task.top1,
        agreement_count=task.agreement_count,
        output_sqnr_db=evidence.output_sqnr_db,
        causes=causes,
        layer_sqnr_db=dict(sorted(layers.items())),
    )


def baseline_checks(evidence: GateEvidence, baseline: Baseline | None, thresholds: Thresholds) -> Iterator[GateCheck]:
    """At most one check on the task, and one on the SQNR of the output."""
    reason = NO_BASELINE if baseline is None else mismatch(fingerprints(evidence.measurement), baseline)
    task, db = thresholds.tolerance_pp, thresholds.tolerance_db
    if task.is_set:
        yield _task_check(evidence.measurement, baseline, task, reason)
    if db.is_set:
        if baseline is None or reason:
            yield cannot_judge("baseline_sqnr", "dB", db, reason or NO_BASELINE)
        else:
            yield _sqnr_check(evidence.output_sqnr_db, baseline.output_sqnr_db, db)


def with_baseline(check: GateCheck, baseline: Baseline) -> GateCheck:
    """The figure of the baseline and the change beside a check that does not go by them."""
    if check.rule not in _FIGURES or not math.isnan(check.baseline) or math.isnan(check.value):
        return check
    before = _baseline_figure(check, baseline)
    return replace(check, baseline=before, change=_difference(check.value, before))


def change_interval(now: float, now_interval: Interval, before: float, before_interval: Interval) -> Interval:
    """95 % interval of now minus before from those of both, taken as independent.

    Both were measured on the same samples, and errors that they share cancel: the interval is rather too wide than too
    narrow. Source: Zou & Donner, Statistics in Medicine 27, 2008 (MOVER).
    """
    change = now - before
    below = math.hypot(now - now_interval.low, before_interval.high - before)
    above = math.hypot(now_interval.high - now, before - before_interval.low)
    return Interval(change - below, change + above)


def _task_check(measurement: Measurement, baseline: Baseline | None, limit: Limit, reason: str | None) -> GateCheck:
    now, task = measurement.task.top1, measurement.task
    is_labelled = now is not None or (baseline is not None and baseline.top1 is not None)
    rule: GateRule = "baseline_drop" if is_labelled else "baseline_flips"
    unit = "pp"
    reason = reason or why_no_accuracy(measurement, needs_labels=is_labelled)
    if baseline is None or reason:
        return cannot_judge(rule, unit, limit, reason or NO_BASELINE)
    if is_labelled:
        if now is None or baseline.top1 is None:
            return cannot_judge(rule, unit, limit, "the baseline has no labels: --update-baseline writes it anew")
        before = baseline.top1
        interval = change_interval(now.drop_pp, now.drop_interval_pp, before.drop_pp, before.drop_interval_pp)
        return _changed(rule, limit, now.drop_pp, before.drop_pp, interval)
    if baseline.agreement_count is None or task.agreement_count is None or not baseline.sample_count:
        return cannot_judge(rule, unit, limit, "the baseline has no logits: --update-baseline writes it anew")
    flips, flips_before = task.sample_count - task.agreement_count, baseline.sample_count - baseline.agreement_count
    share, share_before = 100.0 * flips / task.sample_count, 100.0 * flips_before / baseline.sample_count
    interval = change_interval(
        *(share, share_interval(flips, task.sample_count)),
        *(share_before, share_interval(flips_before, baseline.sample_count)),
    )
    return _changed(rule, limit, share, share_before, interval)


def _changed(rule: GateRule, limit: Limit, value: float, before: float, interval: Interval) -> GateCheck:
    """A change within its tolerance passes by itself: both figures are of the same samples. Beyond, it must be sure."""
    change = value - before
    status: GateStatus = "pass"
    if limit.fail is not None and change > limit.fail:
        status = "fail" if interval.low > limit.fail else "undecided"
    elif limit.warn is not None and change > limit.warn:
        status = "warn"
    reason = "the change is not beyond noise" if status == "undecided" else ""
    return GateCheck(
        *(rule, status, "pp", held(limit.fail), held(limit.warn), value, interval, before, change), reason=reason
    )


def _sqnr_check(value: float, before: float, limit: Limit) -> GateCheck:
    change = _difference(value, before)
    levels = Limit(*(None if level is None else -level for level in (limit.fail, limit.warn)))
    return GateCheck(
        *("baseline_sqnr", lower_status(change, None, levels), "dB", held(limit.fail), held(limit.warn), value),
        baseline=before,
        change=change,
    )


_FIGURES = {"max_drop", "max_relative_drop", "min_accuracy", "max_flips", "min_sqnr", "min_layer_sqnr"}


def _baseline_figure(check: GateCheck, baseline: Baseline) -> float:
    top1 = baseline.top1
    if check.rule == "min_sqnr":
        return baseline.output_sqnr_db
    if check.rule == "min_layer_sqnr":
        return baseline.layer_sqnr_db.get(check.layer or "", math.nan)
    if check.rule == "max_flips":
        count, same = baseline.sample_count, baseline.agreement_count
        return 100.0 * (count - same) / count if count and same is not None else math.nan
    if top1 is None:
        return math.nan
    if check.rule == "max_drop":
        return top1.drop_pp
    if check.rule == "min_accuracy":
        return top1.simulated_percent
    return 100.0 * top1.drop_pp / top1.reference_percent if top1.reference_percent > 0.0 else math.nan


def _difference(now: float, before: float) -> float:
    """Equal infinities differ by nothing."""
    return 0.0 if now == before else now - before
