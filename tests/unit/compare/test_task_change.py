"""The difference between two quantized networks, paired where the outcomes of samples are there."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from qdiag.compare.task import NO_OUTCOMES, OTHER_DATA, independent_interval_pp, task_change
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.measurement import OutputPart
from qdiag.core.measures.outcomes import SampleOutcomes, pack_bits
from qdiag.core.measures.task import Criterion, PairedCounts, TaskChoice, TaskResult
from qdiag.core.measures.task_change import FigureChange, TaskChange
from qdiag.simulate.task.means import mean_figure
from tests.diagnoses import (
    awkward_diagnosis,
    diagnosis,
    healthy_diagnosis,
    repaired_diagnosis,
    unlabelled_diagnosis,
    with_outcomes,
)
from tests.figures import metric
from tests.measurements import sums


def judged(task: TaskChange) -> FigureChange:
    assert task.judged is not None
    return task.judged


def changed(whole: Diagnosis, task: TaskResult) -> Diagnosis:
    return replace(whole, measurement=replace(whole.measurement, task=task))


def test_outcomes_pair_the_two_networks_exactly() -> None:
    task = judged(task_change(with_outcomes(diagnosis()), with_outcomes(repaired_diagnosis(), from_end=True)))
    change = task.quantized
    assert task.criterion.name == "top-1"
    assert change.pairs is not None
    # right before: 38 of the first 382 samples and 7 behind them; after: the last 365 of 382, and 9 behind them
    assert change.pairs == PairedCounts(both=38 - 17 + 7, reference_only=17, simulated_only=374 - 28, neither=109)
    assert change.change == pytest.approx(65.8)
    interval = change.pairs.drop_interval_pp
    assert (change.interval.low, change.interval.high) == (-interval.high, -interval.low)
    assert change.verdict == "better"
    assert task.float_network is not None
    assert task.float_network.verdict == "same"
    assert task.float_network.pairs == PairedCounts(both=382, neither=118)
    assert (task.loss_before, task.loss_after) == (pytest.approx(67.4), pytest.approx(1.6))


def test_swapping_the_two_turns_the_change_round() -> None:
    one, other = with_outcomes(diagnosis()), with_outcomes(repaired_diagnosis(), from_end=True)
    there, back = judged(task_change(one, other)).quantized, judged(task_change(other, one)).quantized
    assert back.change == pytest.approx(-there.change)
    assert (back.interval.low, back.interval.high) == pytest.approx((-there.interval.high, -there.interval.low))
    assert back.verdict == "worse"


def test_a_network_compared_with_itself_is_the_same() -> None:
    task = task_change(with_outcomes(diagnosis()), with_outcomes(diagnosis()))
    assert judged(task).quantized.change == 0.0
    assert judged(task).quantized.verdict == "same"
    assert task.outputs[0].before == task.outputs[0].after


def test_without_outcomes_the_interval_is_wider_and_says_so() -> None:
    paired = judged(task_change(with_outcomes(diagnosis()), with_outcomes(repaired_diagnosis()))).quantized
    counts = judged(task_change(diagnosis(), with_outcomes(repaired_diagnosis()))).quantized
    assert (counts.paired_by, counts.why_unpaired) == ("counts", NO_OUTCOMES)
    assert counts.change == paired.change
    width = paired.interval.high - paired.interval.low
    assert counts.interval.high - counts.interval.low > width
    assert counts.verdict == "better"


def test_other_samples_are_never_paired() -> None:
    other = with_outcomes(repaired_diagnosis())
    data = replace(other.measurement.data, digest="cd" * 32)
    other = replace(other, measurement=replace(other.measurement, data=data))
    change = judged(task_change(with_outcomes(diagnosis()), other)).quantized
    assert (change.paired_by, change.why_unpaired) == ("counts", OTHER_DATA)


@pytest.mark.parametrize("damage", ["AAAA", "*", pack_bits([True] * 500)])
def test_damaged_outcomes_are_not_used(damage: str) -> None:
    one = with_outcomes(diagnosis())
    task = one.measurement.task
    first, *rest = task.figures
    assert first.outcomes is not None
    spoiled = replace(first, outcomes=replace(first.outcomes, simulated=damage))
    other = changed(one, replace(task, figures=(spoiled, *rest)))
    found = judged(task_change(one, other))
    assert found.quantized.paired_by == "counts"
    assert found.float_network is not None
    assert found.float_network.paired_by == "samples"


def test_without_labels_agreement_is_compared() -> None:
    task = task_change(with_outcomes(unlabelled_diagnosis()), with_outcomes(repaired_diagnosis()))
    (figure,) = task.figures
    assert figure.criterion.name == "agreement"
    assert (figure.quantized.before, figure.quantized.after) == (12.2, 78.0)
    assert figure.quantized.pairs == PairedCounts(both=61, simulated_only=329, neither=110)
    assert figure.float_network is None
    assert math.isnan(figure.loss_before)


def test_metrics_and_outputs_that_both_have_are_set_side_by_side() -> None:
    task = task_change(awkward_diagnosis(), awkward_diagnosis())
    found = [(figure.criterion.name, figure.quantized.after) for figure in task.figures]
    assert found[:2] == [("f1", 0.34), ("edit distance", math.inf)]
    assert [name for name, _ in found[2:]] == ["top-1", "top-5", "agreement"]
    assert [output.name for output in task.outputs] == ["output"]


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
        return changed(whole, replace(whole.measurement.task, figures=()))

    task = task_change(bare(diagnosis()), repaired_diagnosis())
    assert (task.judged, task.figures) == (None, ())
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
    first, *rest = one.measurement.task.figures
    short = replace(first, outcomes=SampleOutcomes(3, "Bw==", "Bw=="))
    other = changed(one, replace(one.measurement.task, figures=(short, *rest)))
    assert judged(task_change(one, other)).quantized.paired_by == "counts"


def numbers(
    reference: list[float], simulated: list[float], *, keeps: bool = True, higher: bool = False, digest: str = "ab"
) -> Diagnosis:
    """Judged by a mean of one number per sample."""
    criterion = Criterion("MAE", "m", "m", higher, 0.05, 0.05)
    tables = [np.stack([np.array(column), np.ones(len(column))], 1) for column in (reference, simulated)]
    figure = mean_figure(criterion, reference=tables[0], simulated=tables[1])
    figure = figure if keeps else replace(figure, outcomes=None)
    whole = changed(healthy_diagnosis(), TaskResult(len(reference), (figure,), TaskChoice("regress", "output")))
    data = replace(whole.measurement.data, digest=digest * 32, measured_count=len(reference))
    return replace(whole, measurement=replace(whole.measurement, data=data))


def errors(count: int, seed: int, shift: float = 0.0) -> list[float]:
    random_ = random.Random(seed)
    return [abs(random_.gauss(1.0, 0.5)) + shift * random_.uniform(0.5, 1.5) for _ in range(count)]


@pytest.mark.parametrize("higher", [False, True])
def test_means_of_numbers_are_paired_over_samples(higher: bool) -> None:
    base = errors(200, 1)
    before, after = errors(200, 1, 0.01), errors(200, 1, 0.03)
    found = judged(task_change(numbers(base, before, higher=higher), numbers(base, after, higher=higher)))
    change, differences = found.quantized, np.float32(after) - np.float32(before)
    margin = 1.959963984540054 * differences.std(ddof=1) / math.sqrt(200)
    assert change.paired_by == "samples"
    assert change.change == pytest.approx(float(np.mean(after) - np.mean(before)))
    assert change.interval.low == pytest.approx(float(differences.mean()) - margin, abs=1e-6)
    assert change.interval.high == pytest.approx(float(differences.mean()) + margin, abs=1e-6)
    assert change.verdict == ("better" if higher else "worse")  # of an error, less is better
    assert found.float_network is not None
    assert found.float_network.verdict == "same"
    sign = -1.0 if higher else 1.0
    assert found.loss_after == pytest.approx(sign * float(np.mean(after) - np.mean(base)))


def test_figures_without_outcomes_go_by_both_intervals() -> None:
    base = errors(200, 1)
    pair = [numbers(base, errors(200, 1, shift), keeps=False) for shift in (0.01, 0.03)]
    change = judged(task_change(*pair)).quantized
    assert (change.paired_by, change.why_unpaired) == ("intervals", NO_OUTCOMES)
    first, second = (whole.measurement.task.figures[0] for whole in pair)
    below = math.hypot(
        second.simulated - second.simulated_interval.low, first.simulated_interval.high - first.simulated
    )
    assert change.interval.low == pytest.approx(second.simulated - first.simulated - below)
    assert change.verdict == "same"  # what pairs show, two intervals side by side cannot
    other = judged(task_change(pair[0], numbers(base, errors(200, 1, 0.03), digest="cd"))).quantized
    assert (other.paired_by, other.why_unpaired) == ("intervals", OTHER_DATA)


def test_numbers_that_are_not_those_of_the_figure_are_not_paired() -> None:
    base = errors(50, 1)
    one, other = numbers(base, errors(50, 1, 0.01)), numbers(base, errors(50, 1, 0.03))
    figure = replace(other.measurement.task.figures[0], simulated=3.0)
    spoiled = changed(other, replace(other.measurement.task, figures=(figure,)))
    assert judged(task_change(one, spoiled)).quantized.paired_by == "intervals"


def test_without_any_interval_nothing_is_called_noise() -> None:
    def one(value: float) -> Diagnosis:
        whole = healthy_diagnosis()
        return changed(whole, TaskResult(500, (metric("f1", 0.9, value),)))

    change = judged(task_change(one(0.8), one(0.5))).quantized
    assert change.change == pytest.approx(-0.3)
    assert change.verdict == "unknown"


def test_figures_of_one_name_and_another_unit_or_direction_are_two_things() -> None:
    def one(**parts: object) -> Diagnosis:
        figure = metric("error", 0.9, 0.8)
        figure = replace(figure, criterion=replace(figure.criterion, **parts))  # type: ignore[arg-type]
        return changed(healthy_diagnosis(), TaskResult(500, (figure,)))

    assert task_change(one(), one()).judged is not None
    assert task_change(one(), one(unit="m")).judged is None
    assert task_change(one(), one(higher_is_better=False)).judged is None
