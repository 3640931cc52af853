"""Every threshold, on hand-made results: what passes, what fails, and what cannot be told."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from qdiag.core.causes.ranking import RankedCause, Trial
from qdiag.core.causes.score import Recovery
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.gate import GateCheck, GateResult
from qdiag.core.measures.measurement import Measurement, OutputPart, OutputRecord
from qdiag.core.measures.task import Interval, PairedCounts, TaskResult
from qdiag.core.thresholds import Allowance, Limit, Thresholds
from qdiag.errors import ConfigError, LoadError
from qdiag.gate.baseline import make_baseline
from qdiag.gate.causes import named_causes
from qdiag.gate.evidence import GateEvidence
from qdiag.gate.judge import judge, unreadable
from tests.diagnoses import (
    awkward_diagnosis,
    diagnosis,
    doubtful_diagnosis,
    healthy_diagnosis,
    repaired_diagnosis,
    unlabelled_diagnosis,
)
from tests.figures import classified, without
from tests.measurements import measurement, sums


def evidence(of: Diagnosis | Measurement) -> GateEvidence:
    if isinstance(of, Measurement):
        return GateEvidence("r.json", of)
    return GateEvidence("d.json", of.measurement, of.ranking)


def with_top1(counts: PairedCounts, agreement: int | None = None) -> Measurement:
    same = counts.both if agreement is None else agreement
    return replace(measurement(), task=classified(counts.sample_count, same, counts))


def single(of: Diagnosis | Measurement, **thresholds: object) -> GateCheck:
    (check,) = judge(evidence(of), Thresholds(**thresholds)).checks  # type: ignore[arg-type]
    return check


ONE_POINT = Limit(fail=1.0)


@pytest.mark.parametrize(
    ("counts", "status"),
    [
        (PairedCounts(400, 60, 2, 38), "fail"),  # 11.6 pp, far beyond
        (PairedCounts(440, 0, 0, 60), "pass"),  # equal on 500: at most 0.8 pp
        (PairedCounts(400, 14, 8, 78), "undecided"),  # 1.2 pp
        (PairedCounts(400, 10, 8, 82), "undecided"),  # 0.4 pp, but not certainly below 1
        (PairedCounts(40, 0, 0, 10), "undecided"),  # equal on 50 samples
        (PairedCounts(400, 2, 30, 68), "pass"),  # better than float
    ],
)
def test_a_drop_fails_only_when_its_interval_excludes_the_limit(counts: PairedCounts, status: str) -> None:
    check = single(with_top1(counts), max_drop_pp=ONE_POINT, allow_few_samples=True)
    assert check.status == status
    assert check.interval == counts.drop_interval_pp
    assert (check.samples_needed is not None) == (status == "undecided")


def test_strict_turns_undecided_into_failure() -> None:
    of = evidence(with_top1(PairedCounts(400, 14, 8, 78)))
    loose, strict = (
        judge(of, Thresholds(max_drop_pp=ONE_POINT, strict=s, allow_few_samples=True)) for s in (False, True)
    )
    assert (loose.status, loose.exit_code) == ("undecided", 0)
    assert (strict.status, strict.exit_code) == ("fail", 1)
    assert strict.checks[0].samples_needed == loose.checks[0].samples_needed


def test_a_warning_goes_by_the_figure_and_stops_nobody() -> None:
    counts = PairedCounts(40_000, 400, 80, 10_000)  # 0.63 pp, known to a tenth
    result = judge(evidence(with_top1(counts)), Thresholds(max_drop_pp=Limit(fail=1.0, warn=0.5)))
    assert (result.status, result.exit_code) == ("warn", 0)
    only_warnings = judge(evidence(diagnosis()), Thresholds(max_drop_pp=Limit(warn=0.5)))
    assert only_warnings.exit_code == 0
    assert any("can never fail" in note for note in only_warnings.notes)


def test_thresholds_on_the_task() -> None:
    bad, good = diagnosis(), healthy_diagnosis()
    assert single(bad, max_relative_drop_percent=Limit(fail=2.0)).status == "fail"
    assert single(bad, max_relative_drop_percent=Limit(fail=2.0)).value == pytest.approx(100 * (382 - 45) / 382)
    assert single(good, max_relative_drop_percent=Limit(fail=2.0)).status == "pass"
    assert single(bad, min_accuracy_percent=Limit(fail=70.0)).status == "fail"
    assert single(good, min_accuracy_percent=Limit(fail=70.0)).status == "pass"
    assert single(good, min_accuracy_percent=Limit(fail=76.0)).status == "undecided"
    assert single(bad, max_flips_percent=Limit(fail=5.0)).value == pytest.approx(87.8)
    assert single(bad, max_flips_percent=Limit(fail=5.0)).status == "fail"
    assert single(good, max_flips_percent=Limit(fail=5.0)).status == "pass"


def test_without_labels_only_flips_can_be_judged() -> None:
    of = unlabelled_diagnosis()
    of = replace(of, measurement=replace(of.measurement, task=without(of.measurement.task, "top-1")))
    check = single(of, max_drop_pp=ONE_POINT)
    assert check.status == "cannot_judge"
    assert "labels" in check.reason
    assert single(of, max_flips_percent=Limit(fail=5.0)).status == "fail"


def test_sqnr_of_the_output() -> None:
    assert single(diagnosis(), min_sqnr_db=Limit(fail=20.0)).status == "fail"
    assert single(healthy_diagnosis(), min_sqnr_db=Limit(fail=20.0)).status == "pass"
    assert single(healthy_diagnosis(), min_sqnr_db=Limit(fail=20.0, warn=40.0)).status == "warn"
    two = replace(
        measurement(), outputs=(OutputRecord("a", (1,), sums(30.0)), OutputRecord("b", (1,), sums(5.0)))
    )  # the weakest of several outputs counts
    assert single(two, min_sqnr_db=Limit(fail=20.0)).value == pytest.approx(5.0)
    assert single(replace(two, outputs=()), min_sqnr_db=Limit(fail=20.0)).status == "cannot_judge"


def test_the_weakest_part_of_an_output_counts_where_no_answers_do() -> None:
    parts = OutputPart("branch boxes", sums(50.0)), OutputPart("branch scores", sums(0.5))
    of = replace(measurement(), outputs=(OutputRecord("a", (1,), sums(45.0), parts),))
    assert single(of, min_sqnr_db=Limit(fail=20.0)).value == pytest.approx(45.0), "the answers are of the whole"
    bare = replace(of, task=TaskResult(of.task.sample_count))
    check = single(bare, min_sqnr_db=Limit(fail=20.0))
    assert (check.status, check.reason) == ("fail", "branch scores of a")
    assert check.value == pytest.approx(0.5)
    assert make_baseline(evidence(bare)).output_sqnr_db == pytest.approx(0.5)


def test_sqnr_of_layers_and_the_longest_allowance() -> None:
    limit = Limit(fail=10.0)
    checks = judge(evidence(measurement()), Thresholds(min_layer_sqnr_db=limit)).checks
    assert [check.layer for check in checks if check.status == "fail"] == ["blocks.0.dw"]
    assert "softmax" not in {check.layer for check in checks}  # stays in float
    allow = (Allowance("blocks.*", 30.0), Allowance("blocks.0.dw", 4.0), Allowance("renamed.*", 1.0))
    result = judge(evidence(measurement()), Thresholds(min_layer_sqnr_db=limit, allow=allow))
    assert result.status == "pass"
    (check,) = [check for check in result.checks if check.layer == "blocks.0.dw"]
    assert (check.limit, check.reason) == (4.0, "allowed by blocks.0.dw")
    assert [note for note in result.notes if "renamed.*" in note]
    exempt = Thresholds(min_layer_sqnr_db=limit, allow=(Allowance("*", -math.inf),))
    assert judge(evidence(measurement()), exempt).status == "cannot_judge"  # nothing is left to be judged


def forbid(of: Diagnosis, code: str) -> GateCheck:
    return single(of, forbid=(code,))


def test_a_forbidden_code_fails_unless_it_was_measured_as_harmless() -> None:
    of = diagnosis()
    assert forbid(of, "QD301").status == "fail"
    assert forbid(of, "QD301").places[0] == "blocks.0.dw"
    assert forbid(of, "QD101").status == "fail"
    assert forbid(of, "QD201").status == "undecided"  # its repair was measured, and noise is larger
    assert forbid(of, "QD106").status == "pass"
    assert "harmless" in forbid(of, "QD106").reason
    assert forbid(of, "QD202").status == "fail"  # found, and its repair was refused
    assert forbid(of, "QD405").status == "fail"  # found, without a repair
    assert forbid(of, "QD901").status == "pass"
    assert single(of, warn_codes=("QD301",)).status == "warn"
    assert single(of.measurement, forbid=("QD301",)).status == "cannot_judge"


def test_the_graver_verdict_on_a_layer_counts() -> None:
    of = diagnosis()
    harmless = replace(of.ranking.causes[0], rank=9, verdict="harmless")
    causes: tuple[RankedCause, ...] = (*of.ranking.causes, harmless)
    of = replace(of, ranking=replace(of.ranking, causes=causes))
    assert forbid(of, "QD301").status == "fail"


def test_a_cause_is_named_with_the_repair_that_proved_it() -> None:
    of = diagnosis().ranking
    (first, *_), trial = of.causes, next(t for t in of.causes[0].trials if t.is_claim)
    assert trial.recovery is not None
    vain = replace(trial, repair="mse_activations", placebo=None, recovery=Recovery(0.1, Interval(-1.0, 1.0), 0.0))
    around = replace(trial, repair="activations_16bit", keeps_scheme=False)

    def named(*trials: Trial) -> tuple[str | None, float]:
        (cause,) = named_causes(replace(of, causes=(replace(first, trials=trials),)), None)
        return cause.repair, cause.recovered_task

    assert named(vain, around) == ("activations_16bit", trial.recovery.recovered_task)
    assert named(trial, around) == (trial.repair, trial.recovery.recovered_task)
    hidden, back = named(vain)
    assert hidden is None and math.isnan(back)


def test_causes_that_the_baseline_does_not_have() -> None:
    thresholds = Thresholds(no_new_causes="fail")
    clean, known = make_baseline(evidence(healthy_diagnosis())), make_baseline(evidence(diagnosis()))
    worse = judge(evidence(diagnosis()), thresholds, clean)
    assert (worse.status, worse.exit_code) == ("fail", 1)
    assert "blocks.0.dw" in worse.checks[0].places
    assert [cause.code for cause in worse.causes if cause.is_new] == ["QD301", "QD101"]
    assert judge(evidence(diagnosis()), thresholds, known).status == "pass"
    assert judge(evidence(diagnosis()), Thresholds(no_new_causes="warn"), clean).status == "warn"
    assert judge(evidence(diagnosis()), thresholds).status == "cannot_judge"
    assert judge(evidence(diagnosis().measurement), thresholds, clean).status == "cannot_judge"
    assert judge(evidence(diagnosis()), thresholds, make_baseline(evidence(measurement()))).status == "cannot_judge"


def broken(change: Callable[[Measurement], Measurement]) -> GateResult:
    thresholds = Thresholds(max_drop_pp=Limit(fail=99.0), min_sqnr_db=Limit(fail=-99.0), min_layer_sqnr_db=Limit(-99.0))
    return judge(evidence(change(healthy_diagnosis().measurement)), thresholds)


def all_float(m: Measurement) -> Measurement:
    return replace(m, records=tuple(replace(r, quantizer=None, weight=None) for r in m.records))


def nan_inside(m: Measurement) -> Measurement:
    bad = replace(m.records[3], propagated=replace(m.records[3].propagated, simulated_nonfinite_count=1))
    return replace(m, records=(*m.records[:3], bad, *m.records[4:]))


def nan_at_the_output(m: Measurement) -> Measurement:
    bad = replace(m.outputs[0].error, reference_nonfinite_count=2, simulated_nonfinite_count=2)
    return replace(m, outputs=(replace(m.outputs[0], error=bad),))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (all_float, "nothing is quantized"),
        (nan_inside, "NaN or Inf in"),
        (nan_at_the_output, "NaN or Inf in output"),
        (lambda m: replace(m, records=()), "nothing was measured"),
        (lambda m: replace(m, data=replace(m.data, measured_count=0)), "nothing was measured"),
    ],
)
def test_what_is_no_evidence_passes_nothing(change: Callable[[Measurement], Measurement], word: str) -> None:
    assert broken(lambda m: m).status == "pass"
    result = broken(change)
    assert result.exit_code == 2
    assert all(check.status == "cannot_judge" for check in result.checks)
    if result.checks:
        assert word in result.checks[0].reason


def test_masks_of_minus_infinity_in_float_layers_are_let_pass() -> None:
    def masked(m: Measurement) -> Measurement:
        same = replace(m.records[3].local, reference_nonfinite_count=5, simulated_nonfinite_count=5)
        mask = replace(m.records[3], quantizer=None, weight=None, local=same, propagated=same)
        return replace(m, records=(*m.records[:3], mask, *m.records[4:]))

    assert broken(masked).status == "pass"


def test_results_on_drawn_inputs_say_nothing_about_accuracy() -> None:
    of = measurement(is_data_free=True)
    for name in ("max_drop_pp", "max_relative_drop_percent", "min_accuracy_percent", "max_flips_percent"):
        check = single(of, **{name: Limit(fail=50.0)})
        assert check.status == "cannot_judge"
        assert "data-free" in check.reason
    assert single(of, min_sqnr_db=Limit(fail=1.0)).status == "pass"


def test_without_a_threshold_there_is_no_gate() -> None:
    with pytest.raises(ConfigError, match="no threshold"):
        judge(evidence(healthy_diagnosis()), Thresholds())
    with pytest.raises(ConfigError, match="no threshold"):
        judge(evidence(healthy_diagnosis()), Thresholds(allow=(Allowance("*", 3.0),), strict=True))


def test_what_failed_for_certain_is_not_undone_by_what_cannot_be_judged() -> None:
    of = evidence(diagnosis().measurement)
    result = judge(of, Thresholds(max_drop_pp=ONE_POINT, forbid=("QD301",)))
    assert {check.status for check in result.checks} == {"fail", "cannot_judge"}
    assert result.exit_code == 1
    assert judge(of, Thresholds(min_sqnr_db=Limit(fail=1.0), forbid=("QD301",))).exit_code == 2


def test_an_unreadable_result_is_a_result_too() -> None:
    result = unreadable("d.json", LoadError("not JSON", at="line 1", hint="write it again"), Thresholds())
    assert result.exit_code == 2
    assert result.checks[0].reason == "line 1: not JSON (write it again)"
    assert GateResult("d.json", ()).exit_code == 2


def test_undefined_figures_are_judged_or_refused_and_never_passed() -> None:
    thresholds = Thresholds(
        *(ONE_POINT, Limit(fail=1.0), Limit(fail=1.0), Limit(fail=1.0), Limit(fail=20.0), Limit(fail=10.0)),
        forbid=("QD901",),
    )
    result = judge(evidence(awkward_diagnosis()), thresholds)
    assert result.exit_code == 2
    assert repaired_diagnosis().ranking.claimed == ()


def test_inputs_that_were_prepared_for_another_network_are_noted() -> None:
    limits = Thresholds(max_drop_pp=ONE_POINT)
    for of, is_noted in ((doubtful_diagnosis(), True), (diagnosis(), False), (healthy_diagnosis(), False)):
        notes = judge(evidence(of), limits).notes
        assert any("do not seem to be prepared as in training" in note for note in notes) is is_noted
