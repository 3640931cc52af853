"""Too few samples to exclude twice the limit are no evidence, and neither is an output of zeros."""

import math
from dataclasses import replace

import pytest

from qdiag.core.gate import GateCheck
from qdiag.core.measures.measurement import Measurement, OutputRecord
from qdiag.core.measures.outcomes import SampleOutcomes, pack_bits
from qdiag.core.measures.task import PairedCounts
from qdiag.core.thresholds import Allowance, Limit, Thresholds
from qdiag.gate.baseline import make_baseline
from qdiag.gate.evidence import GateEvidence
from qdiag.gate.judge import judge
from tests.figures import classified
from tests.measurements import measurement, sums

LIMITS = {
    "max_drop_pp": Limit(1.0),
    "max_relative_drop_percent": Limit(1.0),
    "max_flips_percent": Limit(2.0),
    "min_accuracy_percent": Limit(90.0),
}


def measured(counts: PairedCounts) -> Measurement:
    n = counts.sample_count
    agreeing = n - counts.reference_only - counts.simulated_only
    data = replace(measurement().data, measured_count=n)
    return replace(measurement(), task=classified(n, agreeing, counts), data=data)


def check_of(counts: PairedCounts, thresholds: Thresholds) -> GateCheck:
    (check,) = judge(GateEvidence("r.json", measured(counts)), thresholds).checks
    return check


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_a_handful_of_right_answers_proves_nothing(name: str, n: int) -> None:
    thresholds = Thresholds(**{name: LIMITS[name]})  # type: ignore[arg-type]
    check = check_of(PairedCounts(n, 0, 0, 0), thresholds)
    assert check.status == "fail"
    assert "`allow_few_samples`" in check.reason
    allowed = check_of(PairedCounts(n, 0, 0, 0), replace(thresholds, allow_few_samples=True))
    assert allowed.status == "undecided"


@pytest.mark.parametrize("name", LIMITS)
def test_enough_right_answers_do(name: str) -> None:
    thresholds = Thresholds(**{name: LIMITS[name]})  # type: ignore[arg-type]
    assert check_of(PairedCounts(5000, 0, 0, 0), thresholds).status == "pass"


def test_the_bound_is_twice_the_limit() -> None:
    """Without a difference, the interval of a drop ends at 1.96 sqrt(2) / (n + 2)."""
    for limit in (0.5, 1.0, 4.0):
        enough = math.ceil(1.959963984540054 * math.sqrt(2.0) / (2.0 * limit / 100.0)) - 2
        for n, status in ((enough - 1, "fail"), (enough + 1, "undecided")):
            assert check_of(PairedCounts(n, 0, 0, 0), Thresholds(max_drop_pp=Limit(limit))).status == status


def test_a_limit_of_zero_has_a_bound_too() -> None:
    assert check_of(PairedCounts(100, 0, 0, 0), Thresholds(max_drop_pp=Limit(0.0))).status == "fail"
    assert check_of(PairedCounts(1000, 0, 0, 0), Thresholds(max_drop_pp=Limit(0.0))).status == "undecided"


def test_warnings_stay_warnings() -> None:
    check = check_of(PairedCounts(1, 0, 0, 0), Thresholds(max_drop_pp=Limit(warn=1.0)))
    assert check.status in ("pass", "warn")


@pytest.mark.parametrize("n", [1, 10, 5000])
def test_a_tolerance_needs_samples_as_well(n: int) -> None:
    same = GateEvidence("r.json", measured(PairedCounts(n, 0, 0, 0)))
    thresholds = Thresholds(tolerance_pp=Limit(0.5))
    (check,) = judge(same, thresholds, make_baseline(same)).checks
    assert check.status == ("pass" if n == 5000 else "fail")
    (allowed,) = judge(same, replace(thresholds, allow_few_samples=True), make_baseline(same)).checks
    assert allowed.status == "pass"


@pytest.mark.parametrize(
    ("now", "status"),
    [
        (PairedCounts(85, 5, 5, 5), "pass"),  # 35 pp less is lost, which 100 samples can tell
        (PairedCounts(54, 36, 1, 9), "pass"),  # 5 pp less
        (PairedCounts(50, 40, 0, 10), "fail"),  # as much: 100 samples that all agree exclude no growth of 1 pp
        (PairedCounts(51, 39, 0, 10), "fail"),  # 1 pp less, within noise
    ],
)
def test_a_loss_that_shrank_needs_no_more_samples_than_its_own_interval(now: PairedCounts, status: str) -> None:
    before = with_outcomes(PairedCounts(50, 40, 0, 10))
    (check,) = judge(with_outcomes(now), Thresholds(tolerance_pp=Limit(0.5)), make_baseline(before)).checks
    assert check.status == status
    assert check.change <= 0.0


def with_outcomes(counts: PairedCounts) -> GateEvidence:
    """The first samples are right in both networks, then in one of them, ...: runs differ where their counts do."""
    columns = (counts.both, counts.reference_only, counts.simulated_only, counts.neither)
    reference, simulated = (
        [value for count, value in zip(columns, values, strict=True) for _ in range(count)]
        for values in ((True, True, False, False), (True, False, True, False))
    )
    of = measured(counts)
    outcomes = SampleOutcomes(counts.sample_count, pack_bits(reference), pack_bits(simulated))
    first, *rest = of.task.figures
    task = replace(of.task, figures=(replace(first, outcomes=outcomes), *rest))
    return GateEvidence("r.json", replace(of, task=task))


@pytest.mark.parametrize("limits", [{"min_sqnr_db": Limit(3.0)}, {"min_layer_sqnr_db": Limit(-50.0)}])
def test_decibels_of_one_sample_are_no_evidence(limits: dict[str, Limit]) -> None:
    for n, allows, status in ((1, False, "fail"), (1, True, "pass"), (2, False, "pass")):
        thresholds = Thresholds(**limits, allow_few_samples=allows)  # type: ignore[arg-type]
        result = judge(GateEvidence("r.json", measured(PairedCounts(n, 0, 0, 0))), thresholds)
        assert result.status == status


@pytest.mark.parametrize("has_error", [False, True])
def test_an_output_of_zeros_is_no_evidence(has_error: bool) -> None:
    zero = replace(sums(-math.inf), error_sq_sum=0.0, error_sum=0.0, max_abs_error=0.0)
    silent = OutputRecord("output", (10,), sums(-math.inf) if has_error else zero)
    of = replace(measured(PairedCounts(5000, 0, 0, 0)), outputs=(silent,))
    for thresholds in (Thresholds(min_sqnr_db=Limit(20.0)), Thresholds(max_flips_percent=Limit(5.0))):
        result = judge(GateEvidence("r.json", of), thresholds)
        assert (result.status, result.exit_code) == ("cannot_judge", 2)
        assert "zeros at output" in result.checks[0].reason
    two = replace(of, outputs=(silent, OutputRecord("logits", (10,), sums(30.0))))
    assert judge(GateEvidence("r.json", two), Thresholds(min_sqnr_db=Limit(20.0))).exit_code == 2
    assert judge(GateEvidence("r.json", two), Thresholds(max_flips_percent=Limit(5.0))).exit_code == 0


def test_outputs_that_are_the_same_for_every_sample_are_no_evidence() -> None:
    """The bias of the last layer survives any quantization of what comes before it."""
    bias = OutputRecord("output", (10,), sums(60.0), is_constant=True)
    of = replace(measured(PairedCounts(500, 0, 0, 4500)), outputs=(bias,))
    for limits in (Thresholds(min_sqnr_db=Limit(fail=20.0)), Thresholds(max_drop_pp=Limit(fail=1.0))):
        result = judge(GateEvidence("x", of), limits, None)
        assert (result.status, result.exit_code) == ("cannot_judge", 2)
        assert "the same for every sample at output" in result.checks[0].reason
    two = replace(of, outputs=(bias, OutputRecord("logits", (10,), sums(30.0))))
    assert judge(GateEvidence("x", two), Thresholds(min_sqnr_db=Limit(fail=20.0)), None).status == "pass"


def test_a_layer_of_zeros_is_no_evidence_unless_it_is_left_out() -> None:
    of = measured(PairedCounts(5000, 0, 0, 0))
    zero = replace(sums(-math.inf), error_sq_sum=0.0, error_sum=0.0, max_abs_error=0.0)
    records = (*of.records[:2], replace(of.records[2], local=zero), *of.records[3:])
    evidence = GateEvidence("r.json", replace(of, records=records))
    limit = Thresholds(min_layer_sqnr_db=Limit(-50.0))
    assert judge(evidence, limit).status == "cannot_judge"
    assert judge(evidence, replace(limit, allow=(Allowance(records[2].name, -math.inf),))).status == "pass"
