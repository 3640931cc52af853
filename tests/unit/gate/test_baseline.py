"""Baselines: what they keep, when they are refused, and how a change is judged."""

from dataclasses import replace

import pytest

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.gate import GateCheck
from qdiag.core.measures.change import change_interval
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.outcomes import SampleOutcomes, pack_bits
from qdiag.core.measures.task import Interval, PairedCounts, TaskResult
from qdiag.core.thresholds import Limit, Thresholds
from qdiag.gate.baseline import make_baseline
from qdiag.gate.evidence import GateEvidence
from qdiag.gate.fingerprint import scheme_digest
from qdiag.gate.judge import judge
from tests.diagnoses import diagnosis, healthy_diagnosis
from tests.figures import agreement, classified, top
from tests.measurements import measurement, sums

HALF_A_POINT = Thresholds(tolerance_pp=Limit(fail=0.5), allow_few_samples=True)


def of(result: Diagnosis | Measurement) -> GateEvidence:
    if isinstance(result, Measurement):
        return GateEvidence("r.json", result)
    return GateEvidence("d.json", result.measurement, result.ranking)


def with_top1(counts: PairedCounts) -> Measurement:
    return replace(measurement(), task=classified(counts.sample_count, counts.both, counts))


def change(now: Measurement, before: Measurement, thresholds: Thresholds = HALF_A_POINT) -> GateCheck:
    (check,) = judge(of(now), thresholds, make_baseline(of(before))).checks
    return check


def test_a_baseline_keeps_what_a_gate_compares() -> None:
    baseline = make_baseline(of(diagnosis()))
    assert baseline.figures == diagnosis().measurement.task.figures
    assert [figure.criterion.name for figure in baseline.figures] == ["top-1", "top-5", "agreement"]
    assert [cause.code for cause in baseline.causes or ()] == ["QD101", "QD301"]
    assert baseline.layer_sqnr_db["blocks.0.dw"] == pytest.approx(
        diagnosis().measurement.record("blocks.0.dw").local.sqnr_db, abs=0.051
    )
    assert list(baseline.layer_sqnr_db) == sorted(baseline.layer_sqnr_db)
    assert make_baseline(of(measurement())).causes is None


@pytest.mark.parametrize(
    ("now", "status"),
    [
        (PairedCounts(430, 10, 5, 55), "pass"),  # as before
        (PairedCounts(430, 12, 5, 53), "pass"),  # 0.4 pp more, within the tolerance
        (PairedCounts(430, 16, 5, 49), "undecided"),  # 1.2 pp more, within noise
        (PairedCounts(330, 110, 5, 55), "fail"),  # 20 pp more
        (PairedCounts(435, 1, 9, 55), "pass"),  # better
    ],
)
def test_a_drop_that_grew_fails_when_it_is_beyond_tolerance_and_noise(now: PairedCounts, status: str) -> None:
    check = change(with_top1(now), with_top1(PairedCounts(430, 10, 5, 55)))
    assert check.status == status
    assert check.baseline == pytest.approx(1.0)
    assert check.change == pytest.approx(now.drop_pp - 1.0)
    assert check.interval is not None
    assert check.interval.low <= check.change <= check.interval.high


def test_without_labels_flips_are_compared() -> None:
    def flips(same: int) -> Measurement:
        return replace(measurement(is_labelled=False), task=classified(500, same))

    assert change(flips(300), flips(480)).status == "fail"
    assert change(flips(300), flips(480)).rule == "baseline_flips"
    assert change(flips(480), flips(480)).status == "pass"


def test_sqnr_is_compared_in_db() -> None:
    def output(db: float) -> Measurement:
        base = measurement()
        return replace(base, outputs=(replace(base.outputs[0], error=sums(db)),))

    two_db = Thresholds(tolerance_db=Limit(fail=2.0))
    assert change(output(27.0), output(30.0), two_db).status == "fail"
    assert change(output(28.5), output(30.0), two_db).status == "pass"
    assert change(output(float("inf")), output(float("inf")), two_db).status == "pass"
    assert change(output(30.0), output(float("inf")), two_db).status == "fail"


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("data", replace(measurement(), data=replace(measurement().data, digest="cd" * 32))),
        ("samples", replace(measurement(), data=replace(measurement().data, measured_count=400))),
        ("scheme", replace(measurement(), scheme=replace(measurement().scheme, accumulator_bits=16))),
    ],
)
def test_a_baseline_of_something_else_is_refused(name: str, other: Measurement) -> None:
    result = judge(of(other), HALF_A_POINT, make_baseline(of(measurement())))
    assert result.exit_code == 2
    assert name in result.checks[0].reason
    assert "`update_baseline`" in result.checks[0].reason
    beside = judge(of(other), replace(HALF_A_POINT, max_drop_pp=Limit(fail=1.0)), make_baseline(of(measurement())))
    assert beside.checks[0].status == "fail"  # a limit of its own is judged all the same
    assert beside.checks[0].baseline != beside.checks[0].baseline  # and shows no figure of another kind


def test_new_weights_and_versions_are_told_and_not_refused() -> None:
    base = measurement()
    now = replace(base, model=replace(base.model, digest="ee" * 32), versions={**base.versions, "torch": "2.14.0"})
    result = judge(of(now), HALF_A_POINT, make_baseline(of(base)))
    assert result.status == "pass"
    assert [note for note in result.notes if "weights 3fa1c4000000 → eeeeeeeeeeee" in note]
    assert [note for note in result.notes if "torch 2.13.0 → 2.14.0" in note]


def test_the_digest_of_a_scheme_goes_by_what_it_does() -> None:
    scheme = measurement().scheme
    assert scheme_digest(scheme) == scheme_digest(replace(scheme, name="mine", description="the same"))
    assert scheme_digest(scheme) != scheme_digest(replace(scheme, weights=replace(scheme.weights, bits=4)))


def test_other_checks_show_the_figure_of_the_baseline() -> None:
    thresholds = Thresholds(
        *(Limit(fail=1.0), Limit(fail=1.0), Limit(fail=50.0), Limit(fail=9.0), Limit(fail=9.0), Limit(fail=9.0))
    )
    result = judge(of(diagnosis()), thresholds, make_baseline(of(healthy_diagnosis())))
    by_rule = {check.rule: check for check in result.checks if check.layer in (None, "blocks.0.dw")}
    assert by_rule["max_drop"].baseline == pytest.approx(-0.2)
    assert by_rule["max_drop"].change == pytest.approx(67.6)
    assert by_rule["min_accuracy"].change == pytest.approx(-67.6)
    assert by_rule["max_flips"].baseline == pytest.approx(1.6)
    assert by_rule["min_layer_sqnr"].change < -20.0
    assert any("limits nothing" in note for note in result.notes)


def test_the_interval_of_a_change_holds_both_noises() -> None:
    interval = change_interval(5.0, Interval(2.0, 8.0), 1.0, Interval(-3.0, 5.0))
    assert (interval.low, interval.high) == (pytest.approx(-1.0), pytest.approx(9.0))


def test_a_change_is_judged_on_pairs_where_outcomes_were_kept() -> None:
    right = [i % 10 != 0 for i in range(500)]

    def result(broken: int, *, keeps: bool) -> Measurement:
        simulated = [r and not 100 <= i < 100 + broken for i, r in enumerate(right)]
        agree = [r == s for r, s in zip(right, simulated, strict=True)]
        lost = sum(right) - sum(simulated)
        counts = PairedCounts(sum(simulated), lost, 0, 500 - sum(right))
        own = SampleOutcomes(500, pack_bits(right), pack_bits(simulated)) if keeps else None
        same = SampleOutcomes(500, "", pack_bits(agree)) if keeps else None
        figures = (top(1, counts, own), agreement(sum(agree), 500, same))
        return replace(measurement(), task=TaskResult(500, figures))

    before = make_baseline(of(result(40, keeps=True)))
    assert all(figure.outcomes is not None for figure in before.figures)
    paired, unpaired = (judge(of(result(60, keeps=keeps)), HALF_A_POINT, before).checks[0] for keeps in (True, False))
    assert paired.change == unpaired.change == pytest.approx(3.6)
    assert (paired.status, unpaired.status) == ("fail", "undecided")
    slight = judge(of(result(45, keeps=True)), HALF_A_POINT, before).checks[0]
    assert slight.status == "undecided"
    assert slight.samples_needed
