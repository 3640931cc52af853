"""What counts as harm, as a gain, and as a cause."""

import math
from dataclasses import replace

import numpy as np
import pytest

from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.ranking import Harm, Placebo, Trial
from qdiag.core.causes.score import Recovery, Score
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.measurement import OutputPart, OutputRecord
from qdiag.core.measures.task import Criterion, Interval, PairedCounts, TaskChoice, TaskResult
from qdiag.rank.claim import is_claim, order_trials, strength, verdict_on
from qdiag.rank.harm import harm_notes, is_gain, is_gain_in_db
from qdiag.simulate.task.classes import AGREEMENT, Logits, TopK
from qdiag.simulate.task.scoring import Scored, recovery
from qdiag.simulate.task.shares import counts_figure
from qdiag.simulate.task.tasks import Tasks
from tests.figures import metric
from tests.measurements import measurement, small_records, sums

TOP_1 = Criterion("top-1")


def score(counts: PairedCounts | None = None, agree: int | None = None, n: int = 500, sqnr_db: float = 5.0) -> Score:
    error = ErrorSums(count=100, reference_sq_sum=100.0, error_sq_sum=100.0 / 10 ** (sqnr_db / 10))
    figures = [counts_figure(TOP_1, counts)] if counts is not None else []
    if agree is not None:
        figures.append(counts_figure(AGREEMENT, PairedCounts(agree, n - agree)))
    output = OutputRecord("output", (10,), error)
    return Score((output,), TaskResult(n, tuple(figures), TaskChoice("classify" if figures else "none", "output")))


def gained(points: int, n: int = 500, decibels: float = 10.0, margin: float = 1.0) -> Recovery:
    counts = PairedCounts(
        both=100, reference_only=max(points, 0), simulated_only=max(-points, 0), neither=n - 100 - abs(points)
    )
    interval = Interval(decibels - margin, decibels + margin)
    return Recovery(decibels, interval, counts.drop_pp, counts.drop_interval_pp, counts)


def test_harm_of_labelled_networks_is_the_drop_and_needs_its_interval() -> None:
    assert harm_of(score(PairedCounts(45, 335, 0, 120))).verdict == "harmed"
    assert harm_of(score(PairedCounts(380, 5, 0, 115))).verdict == "healthy"  # 1.0 points, the limit itself
    assert harm_of(score(PairedCounts(380, 20, 12, 88))).verdict == "undecided"  # 1.6 points of 500 samples
    assert harm_of(score(PairedCounts(380, 0, 20, 100))).verdict == "healthy"  # better than float


def test_harm_without_labels_is_flips_and_without_logits_the_output() -> None:
    flips = harm_of(score(agree=490))
    assert (flips.criterion, flips.verdict) == (AGREEMENT, "healthy") and flips.value == pytest.approx(2.0)
    assert harm_of(score(agree=100)).verdict == "harmed"
    assert harm_of(score(agree=46, n=50)).verdict == "undecided"
    assert harm_of(score(sqnr_db=35.0)).verdict == "healthy"
    assert harm_of(score(sqnr_db=3.0)).verdict == "harmed"
    nothing = replace(score(), outputs=(OutputRecord("output", (10,), ErrorSums()),))
    assert harm_of(nothing).verdict == "harmed"  # an output of NaN alone


def test_a_gain_needs_samples_and_decibels() -> None:
    assert is_gain(gained(60))
    assert not is_gain(gained(1))  # one sample of 500
    assert not is_gain(gained(60, decibels=0.2))  # right by chance: the output is as noisy as before
    assert is_gain(Recovery(5.0, Interval(4.0, 6.0)))
    assert not is_gain(Recovery(5.0, Interval(-1.0, 11.0)))
    assert is_gain_in_db(gained(0)) and not is_gain_in_db(gained(-60))


HARMED = Harm(TOP_1, 60.0, Interval(55.0, 65.0), 1.0, "harmed")


def trial(points: int, repair: str = "reset_variance_mean", placebo: int | None = None, **changes: float) -> Trial:
    found = Trial(repair, ("a",), after=score(PairedCounts(100, 400)), recovery=gained(points, **changes))  # type: ignore[arg-type]
    if placebo is not None:
        found = replace(found, placebo=Placebo((), gained(placebo), gained(points - placebo)))
    return found


def test_a_cause_must_beat_its_placebo() -> None:
    assert is_claim(trial(60, placebo=0)) and is_claim(trial(60))
    assert not is_claim(trial(60, placebo=60))
    assert verdict_on(HARMED, [trial(60, placebo=0)], needed_in_sequence=False)[0] == "cause"
    verdict, reason = verdict_on(HARMED, [trial(60, placebo=60)], needed_in_sequence=False)
    assert verdict == "undecided" and "elsewhere" in reason


def test_nothing_is_claimed_in_a_network_that_is_not_harmed() -> None:
    healthy = Harm(TOP_1, 0.2, Interval(-0.5, 0.9), 1.0, "healthy")
    assert verdict_on(healthy, [trial(60)], needed_in_sequence=True)[0] == "harmless"
    unsure = replace(healthy, interval=Interval(-2.0, 2.4))
    verdict, reason = verdict_on(unsure, [trial(0, decibels=25.0)], needed_in_sequence=False)
    assert (verdict, "too few to be sure" in reason) == ("undecided", True)
    verdict, reason = verdict_on(healthy, [trial(60)], needed_in_sequence=False, has_lost_output=True)
    assert (verdict, "the output that is lost" in reason) == ("undecided", True)
    undecided = replace(HARMED, verdict="undecided")
    assert verdict_on(undecided, [trial(60)], needed_in_sequence=True)[0] == "undecided"


def test_the_other_verdicts() -> None:
    assert verdict_on(HARMED, [], needed_in_sequence=False)[0] == "untested"
    assert verdict_on(HARMED, [Trial("equalize", ("a",), refused="no")], needed_in_sequence=False)[0] == "untested"
    assert verdict_on(HARMED, [trial(0, decibels=0.0)], needed_in_sequence=False)[0] == "harmless"
    assert verdict_on(HARMED, [trial(0, decibels=0.0)], needed_in_sequence=True)[0] == "cause"
    assert verdict_on(HARMED, [trial(6, decibels=0.0)], needed_in_sequence=False)[0] == "undecided"
    assert verdict_on(HARMED, [trial(6, decibels=0.0)], needed_in_sequence=False, left="healthy")[0] == "harmless"
    assert verdict_on(HARMED, [trial(6, decibels=0.0)], needed_in_sequence=False, left="harmed")[0] == "undecided"


def test_nothing_is_harmless_where_the_sequence_leaves_an_unsure_state() -> None:
    for points in (0, 6):
        verdict, reason = verdict_on(HARMED, [trial(points, decibels=0.0)], needed_in_sequence=False, left="unsure")
        assert (verdict, "too few to tell" in reason) == ("undecided", True)
    assert verdict_on(HARMED, [trial(60)], needed_in_sequence=False, left="unsure")[0] == "cause"


def test_of_a_wide_change_its_own_share_decides_the_verdict_and_the_rank() -> None:
    wide = trial(60, "activations_16bit")
    of_others = replace(wide, own=gained(0, decibels=0.0))
    assert verdict_on(HARMED, [wide], needed_in_sequence=False)[0] == "cause"
    assert verdict_on(HARMED, [of_others], needed_in_sequence=False)[0] == "harmless"
    assert verdict_on(HARMED, [replace(wide, own=gained(5, decibels=0.2))], needed_in_sequence=False)[0] == "undecided"
    on_top = replace(of_others, over_others=gained(30))
    assert verdict_on(HARMED, [on_top], needed_in_sequence=False)[0] == "cause"
    assert verdict_on(HARMED, [on_top], needed_in_sequence=False, left="healthy")[0] == "harmless"
    small, half = replace(wide, own=gained(20)), trial(40, "activations_16bit")
    assert strength([wide]) > strength([half]) > strength([on_top]) > strength([small]) > strength([of_others])


def test_repairs_that_keep_the_scheme_come_first_and_decide_the_rank() -> None:
    around, own, refused = trial(90, "keep_float"), trial(40), Trial("equalize", ("a",), refused="no")
    assert order_trials([refused, around, own]) == (own, around, refused)
    assert strength([own, around]) > strength([around])
    assert strength([around]) > strength([trial(20, "keep_float")])


def test_decibels_and_their_interval_against_a_bootstrap() -> None:
    random = np.random.default_rng(0)
    before, after = random.gamma(2.0, 1.0, 400), random.gamma(2.0, 0.1, 400)

    def scored(noise: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Scored:
        return Scored(score(), {(0, 0): noise}, {(0, 0): np.full(400, 9.0)}, Tasks(), None, 0.0)

    found = recovery(before=scored(before), after=scored(after))
    assert found.recovered_db == pytest.approx(10 * math.log10(before.sum() / after.sum()))
    draws = random.integers(0, 400, (4000, 400))
    ratios = 10 * np.log10(before[draws].sum(1) / after[draws].sum(1))
    low, high = np.percentile(ratios, [2.5, 97.5])
    assert found.db_interval.low == pytest.approx(low, abs=0.15)
    assert found.db_interval.high == pytest.approx(high, abs=0.15)


def test_a_repair_is_measured_at_an_output_with_a_signal() -> None:
    ones, zeros = np.ones(4), np.zeros(4)

    def scored(mute: float, loud: float) -> Scored:  # output 1 is no float tensor
        noise = {(0, 0): mute * ones, (2, 0): loud * ones}
        return Scored(score(), noise, {(0, 0): zeros, (2, 0): ones}, Tasks(), None, 0.0)

    found = recovery(before=scored(1.0, 0.1), after=scored(1.0, 0.01))
    assert found.recovered_db == pytest.approx(10.0)


def test_samples_are_paired() -> None:
    n = 100
    right_before, right_after = np.arange(n) < 10, np.arange(n) >= 5

    def scored(right: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> Scored:
        table, ones = right.astype(np.float64)[:, None], {(0, 0): np.ones(n)}
        return Scored(score(), ones, ones, Tasks((TopK(Logits(0, 10)),)), (np.ones((n, 1)), table), 0.0)

    found = recovery(before=scored(right_before), after=scored(right_after))
    assert (found.recovered_task, found.task_interval) == (85.0, found.pairs.drop_interval_pp if found.pairs else None)
    assert found.pairs == PairedCounts(both=5, reference_only=90, simulated_only=5, neither=0)


def test_few_samples_without_loss_do_not_pass_for_proof() -> None:
    few, enough = score(PairedCounts(8, 0, 0, 0), n=8), score(PairedCounts(276, 0, 0, 0), n=276)
    assert harm_of(few).verdict == "healthy"
    (note,) = harm_notes(few, harm_of(few))
    assert "8 samples are too few" in note and "276 or more" in note
    assert harm_notes(enough, harm_of(enough)) == () and harm_of(enough).interval.high <= 1.0
    assert harm_of(score(PairedCounts(275, 0, 0, 0), n=275)).interval.high > 1.0
    assert harm_notes(score(agree=73, n=73), harm_of(score(agree=73, n=73))) == ()
    assert harm_of(score(agree=73, n=73)).interval.high <= 5.0 < harm_of(score(agree=72, n=72)).interval.high
    assert len(harm_notes(score(agree=72, n=72), harm_of(score(agree=72, n=72)))) == 1
    assert harm_notes(score(sqnr_db=35.0), harm_of(score(sqnr_db=35.0))) == ()


def test_the_samples_that_are_asked_for_follow_the_interval_of_the_figure() -> None:
    """Of a mean with a loss of 0.02 known to 0.06 on 50 samples, 0.05 is ruled out by (0.06 / 0.03)^2 times as many."""
    error = metric("MAE", 0.30, 0.32, Interval(-0.04, 0.08), samples=50, higher_is_better=False, limit=0.05, unit="m")
    found = replace(score(n=50), task=TaskResult(50, (error,), TaskChoice("regress", "output")))
    (note,) = harm_notes(found, harm_of(found))
    assert note.startswith("50 samples are too few to be sure: a loss of up to 0.08 m of MAE need not show")
    assert note.endswith("; 200 or more could rule out a loss of 0.05 m")
    at_limit = replace(error, simulated=0.35, loss_interval=Interval(0.0, 0.10))
    close = replace(found, task=replace(found.task, figures=(at_limit,)))
    (note,) = harm_notes(close, harm_of(close))
    assert "or more" not in note
    masks = metric("mIoU", 60.0, 59.8, Interval(-2.8, 3.2), samples=90, limit=1.0, unit="%")
    found = replace(found, task=TaskResult(90, (masks,), TaskChoice("segment", "output")))
    (note,) = harm_notes(found, harm_of(found))
    assert "3.2 pp of mIoU need not show; 1,266 or more could rule out a loss of 1 pp" in note
    for n in (1265, 1266):
        assert (0.2 + 3.0 * math.sqrt(90 / n) <= 1.0) == (n == 1266)
    some = score(PairedCounts(390, 3, 1, 6), n=400)  # of successes the interval is computed anew
    (note,) = harm_notes(some, harm_of(some))
    needed = int(note.split(" or more")[0].split()[-1].replace(",", ""))
    for n, is_enough in ((needed - 1, False), (needed, True)):
        lost, won, neither = (round(x * n / 400) for x in (3, 1, 6))
        assert (PairedCounts(n - lost - won - neither, lost, won, neither).drop_interval_pp.high <= 1.0) == is_enough


def test_without_a_float_output_there_is_nothing_to_judge_by() -> None:
    nothing = replace(score(), outputs=())
    harm = harm_of(nothing)
    assert harm.verdict == "undecided" and math.isnan(harm.value)
    assert "no output is a float tensor" in harm_notes(nothing, harm)[0]
    assert "no output" in verdict_on(harm, [trial(60)], needed_in_sequence=False)[1]


def test_outputs_beside_the_logits_are_not_passed_over() -> None:
    lost = OutputRecord("map", (2, 8, 8), ErrorSums(count=100, reference_sq_sum=100.0, error_sq_sum=90.0))
    found = replace(score(PairedCounts(300, 0, 0, 0), n=300), outputs=(*score().outputs, lost))
    assert harm_notes(found, harm_of(found)) == (
        "the verdict is of output alone; below 20 dB of SQNR at other outputs: map (0.5 dB)",
    )
    quiet = ErrorSums(count=100, reference_sq_sum=1.0, error_sq_sum=0.5)
    partly = replace(lost, error=ErrorSums(200, 1e6, 90.5), parts=(OutputPart("branch a", quiet),))
    beside = replace(found, outputs=(*score().outputs, partly))
    assert harm_notes(beside, harm_of(beside))[0].endswith("at other outputs: map (3.0 dB at branch a)")
    unlabelled = replace(score(sqnr_db=3.0), outputs=(lost,))
    assert harm_of(unlabelled).criterion is None and harm_notes(unlabelled, harm_of(unlabelled)) == ()


def test_a_repair_that_quiets_the_output_is_not_said_to_recover_nothing() -> None:
    healthy = Harm(TOP_1, 0.2, Interval(-0.5, 0.9), 1.0, "healthy")
    verdict, reason = verdict_on(healthy, [trial(0, decibels=25.0)], needed_in_sequence=False)
    assert (verdict, reason) == (
        "harmless",
        "accuracy is within its limit, although its repair recovers 25.0 dB at the output",
    )
    verdict, reason = verdict_on(HARMED, [trial(0, decibels=25.0)], needed_in_sequence=False)
    assert (verdict, reason) == (
        "undecided",
        "its repair recovers 25.0 dB at the output, and no accuracy beyond noise",
    )
    assert verdict_on(HARMED, [trial(0, decibels=2.0)], needed_in_sequence=False)[0] == "harmless"


def test_an_output_of_zeros_proves_nothing() -> None:
    silent = replace(score(), outputs=(OutputRecord("output", (10,), ErrorSums(count=100)),))
    harm = harm_of(silent)
    assert harm.verdict == "undecided" and math.isnan(harm.value)
    assert any("is zero on these samples" in note for note in harm_notes(silent, harm))
    assert verdict_on(harm, [trial(0)], needed_in_sequence=False)[0] == "undecided"


def test_answers_that_are_all_drawn_from_zeros_prove_nothing_either() -> None:
    zeros = OutputRecord("output", (10,), ErrorSums(count=100))
    judged = measurement(small_records()).task
    silent = replace(score(), outputs=(zeros,), task=judged)
    assert judged.judged is not None and harm_of(replace(silent, outputs=())).criterion is not None
    harm = harm_of(silent)
    assert harm.verdict == "undecided" and harm.criterion is None and math.isnan(harm.value)
    assert harm_notes(silent, harm) == (
        "every output of the float network is zero on these samples, which proves nothing; give other data",
    )


def test_an_output_of_zeros_beside_others_is_told_and_not_the_weakest() -> None:
    signal = OutputRecord("signal", (10,), sums(31.0))
    noise_over_zeros = OutputRecord("mute", (10,), ErrorSums(count=100, error_sq_sum=4.0))
    both = Score((noise_over_zeros, signal), TaskResult(100))
    assert both.output_sqnr_db == pytest.approx(31.0) and harm_of(both).verdict == "healthy"
    assert harm_notes(both, harm_of(both)) == (
        "the float output mute is zero everywhere on these samples: what quantization costs there is not known",
    )
    assert math.isnan(Score((noise_over_zeros,), TaskResult(100)).output_sqnr_db)


def test_what_few_samples_ruled_out_decides_nothing_but_by_float_that_is_louder() -> None:
    """Neither the order of suspects nor a verdict; float at the layers, with more noise on a few samples, gives the
    order that it gives on all of them."""
    little = trial(0, "fuse_branches", decibels=0.1)
    seeming = on_few(trial(40, "reset_variance_mean", decibels=3.0))
    assert strength([little, seeming]) == strength([little])
    louder, within_noise = trial(0, "keep_float", decibels=-6.0), trial(8, "equalize", decibels=0.2)
    assert strength([within_noise, on_few(louder)])[2:] == strength([within_noise, louder])[2:] == (0.0, 0.0)
    alone = verdict_on(HARMED, [within_noise], needed_in_sequence=False)
    assert verdict_on(HARMED, [within_noise, on_few(louder)], needed_in_sequence=False) == alone
    assert alone[0] == "undecided"


def on_few(measured: Trial) -> Trial:
    return replace(measured, after=score(PairedCounts(10, 22), n=32))
