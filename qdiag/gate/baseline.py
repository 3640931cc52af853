"""A baseline is made from a result, and a result is held against a baseline."""

import math
from collections.abc import Iterator
from dataclasses import replace

from qdiag.core.baseline import OUTCOMES_AT_MOST, Baseline, BaselineCause
from qdiag.core.gate import GateCheck, GateRule, GateStatus, Limit, Thresholds
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import Interval, PairedCounts
from qdiag.gate.accuracy import cannot_judge
from qdiag.gate.causes import NO_BASELINE
from qdiag.gate.contrast import Contrast, drop_change_contrast, flips_change_contrast, samples_to_settle
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
    figures = {record.name: round(record.local.sqnr_db, _DECIMALS) for record in quantized_records(measurement)}
    layers = {name: value for name, value in figures.items() if not math.isinf(value)}
    return Baseline(
        fingerprints=fingerprints(measurement),
        sample_count=task.sample_count,
        top1=task.top1,
        agreement_count=task.agreement_count,
        output_sqnr_db=evidence.output_sqnr_db,
        causes=causes,
        layer_sqnr_db=dict(sorted(layers.items())),
        outcomes=task.outcomes if task.sample_count <= OUTCOMES_AT_MOST else None,
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
    """95 % interval of now minus before from those of both, taken as independent, where samples cannot be paired.

    Errors that both share cancel in truth, so this interval is rather too wide than too narrow. Source: Zou & Donner,
    Statistics in Medicine 27, 2008 (MOVER).
    """
    change = now - before
    below = math.hypot(now - now_interval.low, before_interval.high - before)
    above = math.hypot(now_interval.high - now, before - before_interval.low)
    return Interval(change - below, change + above)


def _task_check(measurement: Measurement, baseline: Baseline | None, limit: Limit, reason: str | None) -> GateCheck:
    task = measurement.task
    is_labelled = task.top1 is not None or (baseline is not None and baseline.top1 is not None)
    rule: GateRule = "baseline_drop" if is_labelled else "baseline_flips"
    reason = reason or why_no_accuracy(measurement, needs_labels=is_labelled)
    if baseline is None or reason:
        return cannot_judge(rule, "pp", limit, reason or NO_BASELINE)
    now = _figure(task.top1, task.agreement_count, task.sample_count, is_labelled)
    before = _figure(baseline.top1, baseline.agreement_count, baseline.sample_count, is_labelled)
    if now is None or before is None:
        missing = "labels" if is_labelled else "logits"
        return cannot_judge(
            rule, "pp", limit, f"the baseline has no {missing}: --update-baseline --accept writes it anew"
        )
    contrast = None
    if task.outcomes is not None and baseline.outcomes is not None:
        change = drop_change_contrast if is_labelled else flips_change_contrast
        contrast = change(task.outcomes, baseline.outcomes)
    return _changed(rule, limit, now, before, contrast)


_Figure = tuple[float, Interval]


def _figure(top1: PairedCounts | None, agreement: int | None, count: int, is_labelled: bool) -> _Figure | None:
    """Drop in points, or flips in percent, with its interval."""
    if is_labelled:
        return (top1.drop_pp, top1.drop_interval_pp) if top1 is not None else None
    if agreement is None or not count:
        return None
    return 100.0 * (count - agreement) / count, share_interval(count - agreement, count)


def _changed(rule: GateRule, limit: Limit, now: _Figure, before: _Figure, contrast: Contrast | None) -> GateCheck:
    """A change within its tolerance passes by itself: both figures are of the same samples. Beyond, it must be sure."""
    change = now[0] - before[0]
    interval = change_interval(*now, *before)
    if contrast is not None:
        interval = Interval(100.0 * contrast.interval.low, 100.0 * contrast.interval.high)
    status: GateStatus = "pass"
    needed = None
    if limit.fail is not None and change > limit.fail:
        status = "fail" if interval.low > limit.fail else "undecided"
        if status == "undecided" and contrast is not None:
            needed = samples_to_settle(contrast, limit.fail / 100.0)
    elif limit.warn is not None and change > limit.warn:
        status = "warn"
    return GateCheck(
        rule,
        status,
        "pp",
        held(limit.fail),
        held(limit.warn),
        now[0],
        interval,
        baseline=before[0],
        change=change,
        samples_needed=needed,
        reason="the change is not beyond noise" if status == "undecided" else "",
    )


def _sqnr_check(value: float, before: float, limit: Limit) -> GateCheck:
    change = _difference(value, before)
    levels = Limit(*(None if level is None else -level for level in (limit.fail, limit.warn)))
    return GateCheck(
        "baseline_sqnr",
        lower_status(change, None, levels),
        "dB",
        held(limit.fail),
        held(limit.warn),
        value,
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
