"""The gate itself: a result, limits, and perhaps a baseline; out comes one check for every threshold."""

from collections.abc import Iterator
from dataclasses import replace

from qdiag.core.baseline import Baseline
from qdiag.core.gate import GateCheck, GateResult
from qdiag.core.thresholds import Thresholds
from qdiag.errors import ConfigError, QdiagError
from qdiag.gate.accuracy import accuracy_checks
from qdiag.gate.baseline import baseline_checks, with_baseline
from qdiag.gate.causes import forbidden_checks, named_causes, new_cause_check
from qdiag.gate.evidence import GateEvidence, why_unusable
from qdiag.gate.few_samples import with_few_samples
from qdiag.gate.fingerprint import explaining_changes, fingerprints, mismatch
from qdiag.gate.harm import doubts, harm_of, is_harm_limited
from qdiag.gate.layers import sqnr_checks, unmatched_allowances, weakest_layers
from qdiag.gate.metric import metric_checks
from qdiag.gate.percent import notes_on_losses


def check_thresholds(thresholds: Thresholds) -> None:
    """Raises `ConfigError` where no threshold is set."""
    if thresholds.is_empty:
        raise ConfigError(
            "no threshold is set, and a gate without one would let everything pass",
            hint="give `max_drop=1`, `min_sqnr=20`, ..., or a table [gate] in qdiag.toml",
        )


def judge(evidence: GateEvidence, thresholds: Thresholds, baseline: Baseline | None = None) -> GateResult:
    """Every threshold, judged.

    Where the result is no evidence (nothing measured, nothing quantized, NaN), no check is passed.

    Raises:
        ConfigError: no threshold is set: such a gate would let everything pass.
    """
    check_thresholds(thresholds)
    measurement = evidence.measurement
    checks = tuple(_checks(evidence, thresholds, baseline))
    now = fingerprints(measurement)
    is_comparable = baseline is not None and mismatch(now, baseline) is None
    if baseline is not None and is_comparable:
        checks = tuple(with_baseline(check, baseline) for check in checks)
    unusable = why_unusable(measurement)
    if unusable:
        checks = tuple(
            replace(check, status="cannot_judge", reason=unusable, places=(), samples_needed=None) for check in checks
        )
    if not thresholds.allow_few_samples:
        checks = tuple(with_few_samples(check, measurement.task.sample_count) for check in checks)
    if thresholds.strict:
        checks = tuple(_strict(check) for check in checks)
    usable_baseline = baseline if is_comparable else None
    layers_before = usable_baseline.layer_sqnr_db if usable_baseline else {}
    return GateResult(
        source=evidence.source,
        checks=checks,
        model=measurement.model,
        data=measurement.data,
        scheme=measurement.scheme.name,
        causes=named_causes(evidence.ranking, usable_baseline) if evidence.ranking else (),
        weakest=weakest_layers(measurement, layers_before),
        fingerprints=now,
        notes=tuple(_notes(evidence, thresholds, baseline)),
        commands=evidence.commands,
        strict=thresholds.strict,
        harm=None if unusable else harm_of(evidence),
        is_harm_limited=is_harm_limited(measurement.task, thresholds),
        has_doubts=any(doubts(measurement)),
        size=measurement.size,
    )


def unreadable(source: str, error: QdiagError, thresholds: Thresholds) -> GateResult:
    """The result of a gate whose evidence could not be read: files for CI say so, instead of being missing."""
    reason = f"{error}" + (f" ({error.hint})" if error.hint else "")
    return GateResult(source, (GateCheck("evidence", "cannot_judge", reason=reason),), strict=thresholds.strict)


def _checks(evidence: GateEvidence, thresholds: Thresholds, baseline: Baseline | None) -> Iterator[GateCheck]:
    yield from accuracy_checks(evidence.measurement, thresholds)
    yield from metric_checks(evidence.measurement, thresholds)
    yield from sqnr_checks(evidence, thresholds)
    yield from baseline_checks(evidence, baseline, thresholds)
    comparable = baseline
    if baseline is not None and thresholds.no_new_causes != "off":
        reason = mismatch(fingerprints(evidence.measurement), baseline)
        if reason:
            yield GateCheck("no_new_causes", "cannot_judge", "layers", reason=reason)
            thresholds, comparable = replace(thresholds, no_new_causes="off"), None
    new = new_cause_check(evidence.ranking, comparable, thresholds)
    if new is not None:
        yield new
    yield from forbidden_checks(evidence.ranking, thresholds)


def _strict(check: GateCheck) -> GateCheck:
    if check.status != "undecided":
        return check
    return replace(check, status="fail", reason=f"{check.reason}; `strict` lets nothing undecided pass")


def _notes(evidence: GateEvidence, thresholds: Thresholds, baseline: Baseline | None) -> Iterator[str]:
    if not thresholds.can_fail:
        yield "every threshold is a warning: this gate can never fail"
    if evidence.measurement.data.is_data_free:
        yield "data-free: no real input was seen"
    yield from doubts(evidence.measurement)
    yield from notes_on_losses(evidence.measurement.task, thresholds)
    for pattern in unmatched_allowances(evidence.measurement, thresholds.allow):
        yield f"allow {pattern}: no quantized layer has such a name"
    if thresholds.allow and not thresholds.min_layer_sqnr_db.is_set:
        yield "allow without a limit for layers: give `min_layer_sqnr`"
    if baseline is not None:
        now = fingerprints(evidence.measurement)
        reason = mismatch(now, baseline)
        if reason is None:
            yield from explaining_changes(now, baseline)
        if not thresholds.needs_baseline:
            yield "the baseline limits nothing: give `tolerance`, `tolerance_metric`, `tolerance_db` or `no_new_causes`"
