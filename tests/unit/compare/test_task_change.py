"""The difference between two quantized networks, paired where the outcomes of samples are there."""

import math
import random
from dataclasses import replace

import pytest

from qdiag.compare.task import NO_OUTCOMES, OTHER_DATA, independent_interval_pp, task_change
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.measurement import OutputPart
from qdiag.core.measures.outcomes import SampleOutcomes, pack_bits
from qdiag.core.measures.task import PairedCounts
from tests.diagnoses import awkward_diagnosis, diagnosis, repaired_diagnosis, unlabelled_diagnosis, with_outcomes
from tests.measurements import sums


def test_outcomes_pair_the_two_networks_exactly() -> None:
    task = task_change(with_outcomes(diagnosis()), with_outcomes(repaired_diagnosis(), from_end=True))
    change = task.quantized
    assert change is not None
    assert change.pairs is not None
    # right before: 38 of the first 382 samples and 7 behind them; after: the last 365 of 382, and 9 behind them
    assert change.pairs == PairedCounts(both=38 - 17 + 7, reference_only=17, simulated_only=374 - 28, neither=109)
    assert change.change_pp == pytest.approx(65.8)
    interval = change.pairs.drop_interval_pp
    assert (change.interval_pp.low, change.interval_pp.high) == (-interval.high, -interval.low)
    assert change.verdict == "better"
    assert task.float_network is not None
    assert task.float_network.verdict == "same"
    assert task.float_network.pairs == PairedCounts(both=382, neither=118)
    assert (task.drop_before_pp, task.drop_after_pp) == (pytest.approx(67.4), pytest.approx(1.6))


def test_swapping_the_two_turns_the_change_round() -> None:
    one, other = with_outcomes(diagnosis()), with_outcomes(repaired_diagnosis(), from_end=True)
    there, back = task_change(one, other).quantized, task_change(other, one).quantized
    assert there is not None
    assert back is not None
    assert back.change_pp == pytest.approx(-there.change_pp)
    assert (back.interval_pp.low, back.interval_pp.high) == pytest.approx(
        (-there.interval_pp.high, -there.interval_pp.low)
    )
    assert back.verdict == "worse"


def test_a_network_compared_with_itself_is_the_same() -> None:
    task = task_change(with_outcomes(diagnosis()), with_outcomes(diagnosis()))
    assert task.quantized is not None
    assert task.quantized.change_pp == 0.0
    assert task.quantized.verdict == "same"
    assert task.outputs[0].before == task.outputs[0].after


def test_without_outcomes_the_interval_is_wider_and_says_so() -> None:
    paired = task_change(with_outcomes(diagnosis()), with_outcomes(repaired_diagnosis())).quantized
    counts = task_change(diagnosis(), with_outcomes(repaired_diagnosis())).quantized
    assert paired is not None
    assert counts is not None
    assert (counts.paired_by, counts.why_counts) == ("counts", NO_OUTCOMES)
    assert counts.change_pp == paired.change_pp
    width = paired.interval_pp.high - paired.interval_pp.low
    assert counts.interval_pp.high - counts.interval_pp.low > width
    assert counts.verdict == "better"


def test_other_samples_are_never_paired() -> None:
    other = with_outcomes(repaired_diagnosis())
    data = replace(other.measurement.data, digest="cd" * 32)
    other = replace(other, measurement=replace(other.measurement, data=data))
    change = task_change(with_outcomes(diagnosis()), other).quantized
    assert change is not None
    assert (change.paired_by, change.why_counts) == ("counts", OTHER_DATA)


@pytest.mark.parametrize("damage", ["AAAA", "*", pack_bits([True] * 500)])
def test_damaged_outcomes_are_not_used(damage: str) -> None:
    one = with_outcomes(diagnosis())
    task = one.measurement.task
    assert task.outcomes is not None
    spoiled = replace(task, outcomes=replace(task.outcomes, simulated_right=damage))
    other = replace(one, measurement=replace(one.measurement, task=spoiled))
    found = task_change(one, other)
    assert found.quantized is not None
    assert found.quantized.paired_by == "counts"
    assert found.float_network is not None
    assert found.float_network.paired_by == "samples"


def test_without_labels_agreement_is_compared() -> None:
    task = task_change(with_outcomes(unlabelled_diagnosis()), with_outcomes(repaired_diagnosis()))
    assert task.kind == "agreement"
    assert task.quantized is not None
    assert (task.quantized.before_percent, task.quantized.after_percent) == (12.2, 78.0)
    assert task.quantized.pairs == PairedCounts(both=61, simulated_only=329, neither=110)
    assert task.float_network is None
    assert math.isnan(task.drop_before_pp)


def test_metrics_and_outputs_that_both_have_are_set_side_by_side() -> None:
    task = task_change(awkward_diagnosis(), awkward_diagnosis())
    assert [(figure.name, figure.after) for figure in task.metrics] == [("f1", 0.34), ("edit distance", math.inf)]
    assert [figure.unit for figure in task.outputs] == ["dB"]


def test_the_part_that_is_the_weakest_now_is_set_beside_what_it_was() -> None:
    def with_parts(whole: Diagnosis, boxes_db: float, scores_db: float, scores: str = "branch scores") -> Diagnosis:
        (output,) = whole.measurement.outputs
        parts = OutputPart("branch boxes", sums(boxes_db)), OutputPart(scores, sums(scores_db))
        return replace(whole, measurement=replace(whole.measurement, outputs=(replace(output, parts=parts),)))

    before, after = with_parts(diagnosis(), 50.0, 1.0), with_parts(repaired_diagnosis(), 50.0, 40.0)
    whole, part = task_change(before, after).outputs
    assert (whole.name, part.name) == ("output", "output, branch scores")
    assert (part.before, part.after) == (pytest.approx(1.0), pytest.approx(40.0))
    renamed = with_parts(diagnosis(), 50.0, 1.0, scores="branch other")
    for older in (diagnosis(), renamed):
        assert [figure.name for figure in task_change(older, after).outputs] == ["output"]


def test_no_logits_no_task() -> None:
    def bare(whole: Diagnosis) -> Diagnosis:
        task = replace(whole.measurement.task, top1=None, agreement_count=None)
        return replace(whole, measurement=replace(whole.measurement, task=task))

    task = task_change(bare(diagnosis()), repaired_diagnosis())
    assert (task.kind, task.quantized) == ("none", None)
    assert len(task.outputs) == 1


def test_the_interval_of_counts_holds_what_it_says() -> None:
    """Of 400 pairs of samples drawn with known shares, about 95 % of the intervals hold the true difference."""
    random_ = random.Random(5)
    held = 0
    for _ in range(400):
        before = sum(random_.random() < 0.8 for _ in range(120))
        after = sum(random_.random() < 0.65 for _ in range(120))
        interval = independent_interval_pp(before, 120, after, 120)
        held += interval.low <= -15.0 <= interval.high
    assert 0.92 * 400 <= held <= 0.98 * 400


def test_the_interval_of_counts_is_that_of_the_published_example() -> None:
    """Agresti & Caffo's own arithmetic by hand: 7 of 10 against 3 of 10."""
    interval = independent_interval_pp(3, 10, 7, 10)
    share = (8 / 12, 4 / 12)
    margin = 1.959963984540054 * math.sqrt(2 * share[0] * share[1] / 12)
    assert interval.low == pytest.approx(100 * (share[0] - share[1] - margin))
    assert interval.high == pytest.approx(100 * (share[0] - share[1] + margin))
    assert math.isnan(independent_interval_pp(0, 0, 3, 4).low)


def test_outcomes_of_fewer_samples_are_not_paired() -> None:
    one = with_outcomes(diagnosis())
    short = replace(one.measurement.task, outcomes=SampleOutcomes(3, "Bw==", "Bw==", "Bw=="))
    other = replace(one, measurement=replace(one.measurement, task=short))
    change = task_change(one, other).quantized
    assert change is not None
    assert change.paired_by == "counts"
