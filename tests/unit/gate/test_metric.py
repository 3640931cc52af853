"""Limits on the figure by which a network is judged, whatever its unit and its direction."""

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from qdiag.core.baseline import NUMBERS_AT_MOST
from qdiag.core.gate import GateCheck, GateResult
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.task import Criterion, Figure, Interval, PairedCounts, TaskChoice, TaskResult
from qdiag.core.thresholds import Limit, Thresholds
from qdiag.gate.baseline import make_baseline
from qdiag.gate.evidence import GateEvidence
from qdiag.gate.judge import judge
from qdiag.reading.words.gate import check_sentence, check_title, harm_line, verdict_words
from qdiag.simulate.task.means import mean_figure
from tests.diagnoses import healthy_diagnosis
from tests.figures import agreement, classified, harm, metric, top
from tests.measurements import measurement

MAE = Criterion("MAE", "m", "m", False, 0.05, 0.05)
PSNR = Criterion("PSNR", "dB", "dB", True, 0.1, 0.1)
MIOU = Criterion("mIoU")
Z_95 = 1.959963984540054


def of(*figures: Figure, samples: int | None = None) -> Measurement:
    """A healthy network that is judged by the first of these."""
    count = samples if samples is not None else figures[0].sample_count
    base = healthy_diagnosis().measurement
    task = TaskResult(count, figures, TaskChoice("regress", "output", "targets"))
    return replace(base, task=task, data=replace(base.data, measured_count=count))


def gate(measured: Measurement, **thresholds: Any) -> GateResult:
    return judge(GateEvidence("r.json", measured), Thresholds(**thresholds))


def single(measured: Measurement, **thresholds: Any) -> GateCheck:
    (check,) = gate(measured, **thresholds).checks
    return check


def figure(criterion: Criterion, reference: float, simulated: float, margin: float, samples: int = 200) -> Figure:
    """With intervals of this half width."""
    sign = 1.0 if criterion.higher_is_better else -1.0
    loss = sign * (reference - simulated)
    around = [Interval(value - margin, value + margin) for value in (loss, simulated)]
    return Figure(criterion, samples, reference, simulated, *around)


@pytest.mark.parametrize(
    ("criterion", "reference", "simulated", "status"),
    [
        (MAE, 0.30, 0.38, "fail"),  # an error that rises by 0.08 m
        (MAE, 0.30, 0.36, "undecided"),
        (MAE, 0.30, 0.34, "undecided"),  # 0.04 of 0.05, known to 0.02
        (MAE, 0.30, 0.32, "pass"),
        (MAE, 0.30, 0.10, "pass"),  # better
        (PSNR, 30.0, 29.92, "fail"),  # a gain that falls
        (PSNR, 30.0, 29.98, "pass"),
        (PSNR, 30.0, 31.0, "pass"),
    ],
)
def test_a_loss_fails_when_its_interval_excludes_the_limit(
    criterion: Criterion, reference: float, simulated: float, status: str
) -> None:
    check = single(of(figure(criterion, reference, simulated, 0.02)), max_metric_drop=Limit(fail=0.05))
    assert check.status == status
    assert check.value == pytest.approx(abs(reference - simulated) * (1 if simulated < reference else -1)
                                        * (1 if criterion.higher_is_better else -1))  # fmt: skip
    assert (check.unit, check.criterion) == (criterion.change_unit, criterion)
    assert (check.samples_needed is not None) == (status == "undecided")


def test_strict_and_warn_are_as_for_other_limits() -> None:
    measured = of(figure(MAE, 0.30, 0.36, 0.02))
    assert gate(measured, max_metric_drop=Limit(fail=0.05), strict=True).exit_code == 1
    assert gate(measured, max_metric_drop=Limit(fail=0.05)).exit_code == 0
    warned = gate(measured, max_metric_drop=Limit(fail=0.1, warn=0.05))
    assert (warned.status, warned.exit_code) == ("warn", 0)


def test_as_many_samples_as_it_says_settle_a_mean_four_times_out_of_five() -> None:
    """Losses drawn with a mean of 0.04 and a spread of 0.12, under a limit of 0.05."""
    spread, mean, limit = 0.12, 0.04, 0.05
    check = single(of(figure(MAE, 0.30, 0.34, Z_95 * spread / math.sqrt(200))), max_metric_drop=Limit(fail=limit))
    assert check.status == "undecided"
    assert check.samples_needed is not None
    n = 200 + check.samples_needed
    assert n == pytest.approx((2.8015852 * spread / (limit - mean)) ** 2, rel=0.01)
    generator = np.random.default_rng(0)
    means = generator.normal(mean, spread, (400, n)).mean(1)
    settled = np.abs(means - limit) > Z_95 * spread / math.sqrt(n)
    assert 0.75 < settled.mean() < 0.85


def test_values_have_a_floor_where_higher_is_better_and_a_ceiling_where_lower_is() -> None:
    good, bad = of(figure(PSNR, 30.0, 29.9, 0.05)), of(figure(PSNR, 30.0, 27.0, 0.05))
    assert single(good, min_metric=Limit(fail=29.0)).status == "pass"
    assert single(bad, min_metric=Limit(fail=29.0)).status == "fail"
    assert single(good, min_metric=Limit(fail=29.92)).status == "undecided"
    small, large = of(figure(MAE, 0.30, 0.31, 0.02)), of(figure(MAE, 0.30, 0.50, 0.02))
    assert single(small, max_metric=Limit(fail=0.4)).status == "pass"
    assert single(large, max_metric=Limit(fail=0.4)).status == "fail"
    assert single(small, max_metric=Limit(fail=0.32)).status == "undecided"
    assert single(large, max_metric=Limit(fail=0.4)).value == 0.50


def test_a_limit_in_the_wrong_direction_is_no_limit() -> None:
    for measured, name, other in (
        (of(figure(MAE, 0.30, 0.31, 0.02)), "min_metric", "`max_metric`"),
        (of(figure(PSNR, 30.0, 29.9, 0.05)), "max_metric", "`min_metric`"),
    ):
        result = gate(measured, **{name: Limit(fail=0.4)})
        assert result.exit_code == 2
        assert other in result.checks[0].reason


@pytest.mark.parametrize("rule", ["max_metric_drop", "min_metric", "max_metric", "tolerance_metric"])
def test_without_a_figure_nothing_can_be_judged(rule: str) -> None:
    bare = of(samples=500)
    result = gate(bare, **{rule: Limit(fail=1.0)})
    assert result.exit_code == 2
    assert result.checks[0].reason
    data_free = replace(of(figure(MAE, 0.3, 0.3, 0.01)), data=measurement(is_data_free=True).data)
    assert "data-free" in gate(data_free, max_metric_drop=Limit(fail=1.0)).checks[0].reason


def test_accuracy_is_any_share_of_right_answers() -> None:
    fallen = of(figure(MIOU, 60.5, 50.9, 2.0))
    assert single(fallen, max_drop_pp=Limit(fail=1.0)).value == pytest.approx(9.6)
    assert single(fallen, max_drop_pp=Limit(fail=1.0)).status == "fail"
    assert single(fallen, max_drop_pp=Limit(fail=9.0), allow_few_samples=True).status == "undecided"
    assert single(fallen, min_accuracy_percent=Limit(fail=60.0)).status == "fail"
    assert single(fallen, min_accuracy_percent=Limit(fail=40.0)).status == "pass"
    relative = single(fallen, max_relative_drop_percent=Limit(fail=2.0))
    assert (relative.status, relative.value) == ("fail", pytest.approx(100 * 9.6 / 60.5))
    assert relative.interval is not None
    assert relative.interval.high == pytest.approx(100 * 11.6 / 60.5)
    assert check_title(single(fallen, max_drop_pp=Limit(fail=1.0))) == "drop of mIoU"


def test_a_share_of_wrong_answers_is_no_accuracy() -> None:
    errors = of(metric("WER", 10.0, 30.0, Interval(18.0, 22.0), unit="%", higher_is_better=False))
    assert single(errors, min_accuracy_percent=Limit(fail=20.0)).status == "cannot_judge"
    check = single(errors, max_drop_pp=Limit(fail=1.0))
    assert check.status == "cannot_judge"
    assert "`max_metric_drop` limits WER" in check.reason
    assert single(errors, max_metric_drop=Limit(fail=1.0)).status == "fail"


def test_of_a_classifier_the_metric_is_its_accuracy() -> None:
    counts = PairedCounts(400, 14, 8, 78)
    measured = replace(measurement(), task=classified(500, 470, counts))
    drop, loss = (single(measured, **{name: Limit(fail=1.0)}) for name in ("max_drop_pp", "max_metric_drop"))
    assert replace(loss, rule="max_drop") == drop
    least, floor = (single(measured, **{name: Limit(fail=70.0)}) for name in ("min_accuracy_percent", "min_metric"))
    assert replace(floor, rule="min_accuracy") == least
    without = replace(measurement(is_labelled=False), task=classified(500, 470))
    flips, own = (single(without, **{name: Limit(fail=7.0)}) for name in ("max_flips_percent", "max_metric_drop"))
    assert replace(own, rule="max_flips") == flips
    assert flips.value == 6.0


@pytest.mark.parametrize("rule", ["max_metric_drop", "min_metric"])
@pytest.mark.parametrize("n", [1, 12])
def test_a_handful_of_successes_proves_nothing(rule: str, n: int) -> None:
    measured = of(top(1, PairedCounts(n)))
    limit = Limit(1.0 if rule == "max_metric_drop" else 90.0)
    assert single(measured, **{rule: limit}).status == "fail"
    assert single(measured, **{rule: limit}, allow_few_samples=True).status == "undecided"
    assert single(of(top(1, PairedCounts(5000))), **{rule: limit}).status == "pass"


def test_one_number_is_no_evidence() -> None:
    for n, status in ((1, "fail"), (2, "pass")):
        one = of(replace(figure(MAE, 0.3, 0.3, 0.0, n)))
        assert single(one, max_metric_drop=Limit(fail=0.1)).status == status


def test_a_figure_without_an_interval_is_compared_as_it_is() -> None:
    for simulated, status in ((0.895, "pass"), (0.5, "fail")):
        check = single(of(metric("f1", 0.9, simulated)), max_metric_drop=Limit(fail=0.01))
        assert check.status == status
        assert "no interval" in check.reason
        assert check.interval is None
    assert single(of(metric("f1", 0.9, math.nan)), max_metric_drop=Limit(fail=0.01)).status == "cannot_judge"
    endless = metric("edit distance", 3.0, math.inf, higher_is_better=False)
    assert single(of(endless), max_metric_drop=Limit(fail=0.01)).status == "fail"


def means(shift: float, count: int = 200) -> Figure:
    """Errors of single samples that rise by about `shift`."""
    random_ = random.Random(1)
    before = [abs(random_.gauss(1.0, 0.5)) for _ in range(count)]
    after = [x + shift * random_.uniform(0.5, 1.5) for x in before]
    tables = [np.stack([np.array(column), np.ones(count)], 1) for column in (before, after)]
    return mean_figure(MAE, reference=tables[0], simulated=tables[1])


def against(now: Figure, before: Figure, limit: float | Limit) -> GateCheck:
    baseline = make_baseline(GateEvidence("r.json", of(before)))
    tolerance = limit if isinstance(limit, Limit) else Limit(limit)
    (check,) = judge(GateEvidence("r.json", of(now)), Thresholds(tolerance_metric=tolerance), baseline).checks
    return check


def test_the_growth_of_a_loss_is_paired_over_samples() -> None:
    before, now = means(0.01), means(0.03)
    paired, unpaired = against(now, before, 0.015), against(now, replace(before, outcomes=None), 0.015)
    assert paired.change == unpaired.change == pytest.approx(now.loss - before.loss)
    assert paired.interval is not None
    assert unpaired.interval is not None
    assert paired.interval.high - paired.interval.low < unpaired.interval.high - unpaired.interval.low
    assert paired.interval.low <= paired.change <= paired.interval.high
    assert (paired.status, paired.rule, paired.unit) == ("fail", "baseline_metric", "m")
    assert against(now, before, 0.05).status == "pass"
    assert against(means(0.0), before, 0.001).status == "pass"  # better
    assert "MAE, growth of the loss: +0.0" in check_sentence(paired)


def test_a_growth_within_noise_is_undecided() -> None:
    before = figure(MAE, 0.30, 0.31, 0.05)
    assert against(figure(MAE, 0.30, 0.35, 0.05), before, 0.02).status == "undecided"
    assert against(figure(MAE, 0.30, 0.80, 0.05), before, 0.02).status == "fail"
    assert against(metric("f1", 0.9, 0.5), metric("f1", 0.9, 0.8), 0.1).status == "fail"  # nothing says how sure


def test_a_baseline_of_another_figure_is_refused() -> None:
    check = against(figure(MAE, 0.30, 0.31, 0.05), figure(PSNR, 30.0, 29.0, 0.05), 0.02)
    assert check.status == "cannot_judge"
    assert "the baseline has PSNR, this result MAE" in check.reason
    beside = judge(
        GateEvidence("r.json", of(figure(MAE, 0.30, 0.31, 0.05))),
        Thresholds(max_metric_drop=Limit(0.5)),
        make_baseline(GateEvidence("r.json", of(figure(MAE, 0.30, 0.33, 0.05)))),
    ).checks[0]
    assert beside.baseline == pytest.approx(0.03)
    assert beside.change == pytest.approx(-0.02)


def test_a_baseline_keeps_numbers_of_few_samples_alone() -> None:
    kept, dropped = (
        make_baseline(GateEvidence("r.json", of(means(0.01, n)))).figures[0].outcomes for n in (50, NUMBERS_AT_MOST + 1)
    )
    assert kept is not None
    assert dropped is None


def test_harm_that_no_limit_looks_at_is_never_passed_over_in_silence() -> None:
    harmed = of(figure(MAE, 0.30, 0.60, 0.02))  # 0.3 m, harm begins at 0.05
    silent = gate(harmed, min_sqnr_db=Limit(1.0))
    assert (silent.exit_code, silent.is_harm_overlooked) == (0, True)
    assert "No limit looks at MAE, though" in verdict_words(silent)
    assert harm_line(silent) == (
        "harmed: the loss of MAE is 0.3 m (95 %: 0.28 to 0.32), and harm begins beyond 0.05 m; "
        "no limit looks at it, --max-metric-drop does"
    )
    for limits in ({"max_metric_drop": Limit(1.0)}, {"max_metric": Limit(9.0)}, {"max_metric": Limit(warn=9.0)}):
        limited = gate(harmed, **limits)
        assert (limited.exit_code, limited.is_harm_overlooked) == (0, False)
        assert "though" not in verdict_words(limited)
    healthy = gate(of(figure(MAE, 0.30, 0.31, 0.02)), min_sqnr_db=Limit(1.0))
    assert not healthy.is_harm_overlooked
    assert harm_line(healthy).startswith("healthy: the loss of MAE is 0.01 m")


def test_limits_on_answers_look_at_the_figure_that_judges_and_at_no_other() -> None:
    harmed = of(top(1, PairedCounts(300, 100, 0, 100)), agreement(390, 500))
    assert not gate(harmed, max_drop_pp=Limit(90.0)).is_harm_overlooked
    assert gate(harmed, max_flips_percent=Limit(90.0)).is_harm_overlooked
    own = of(figure(MAE, 0.30, 0.60, 0.02, 500), top(1, PairedCounts(400, 0, 0, 100)), agreement(499, 500))
    assert gate(own, max_drop_pp=Limit(90.0)).is_harm_overlooked
    by_sqnr = replace(
        healthy_diagnosis().ranking, harm=replace(harm(top(1, PairedCounts(9, 1)), "harmed"), criterion=None)
    )
    evidence = GateEvidence("d.json", of(samples=500), by_sqnr)
    assert judge(evidence, Thresholds(min_layer_sqnr_db=Limit(1.0))).is_harm_overlooked
    assert not judge(evidence, Thresholds(min_sqnr_db=Limit(1.0))).is_harm_overlooked


def test_nothing_found_on_too_few_samples_is_a_state_of_its_own() -> None:
    few = gate(of(top(1, PairedCounts(60, 0, 0, 3))), min_sqnr_db=Limit(1.0))
    assert few.harm is not None
    assert few.harm.state == "unsure"
    assert harm_line(few).startswith("no harm measured, too few samples to be sure: the loss of top-1 is 0.0 pp")
    many = gate(of(top(1, PairedCounts(5000, 0, 0, 3))), min_sqnr_db=Limit(1.0))
    assert many.harm is not None
    assert many.harm.state == "healthy"
