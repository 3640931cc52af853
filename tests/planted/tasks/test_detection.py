"""A detector is judged by its true boxes, and one output for boxes and scores is the cause of its loss."""

from qdiag.core.diagnosis import Diagnosis
from tests.planted.tasks import diagnosing


def diagnosis(name: str) -> Diagnosis:
    return diagnosing.diagnosis(name, "by_targets")


def test_scores_beside_boxes_of_pixels_are_the_cause_and_a_divided_concat_is_the_repair() -> None:
    ranking = diagnosis("detector").ranking
    assert ranking.harm.criterion is not None
    assert (ranking.harm.criterion.name, ranking.harm.verdict) == ("mAP", "harmed")
    assert ranking.harm.value >= 40.0
    first = ranking.claimed[0]
    assert (first.code, first.layers) == ("QD401", ("concat#2",))
    (step,) = ranking.waterfall
    assert (step.code, step.repair) == ("QD401", "split_concat")
    assert step.gained.recovered_task >= ranking.harm.value - 1.0
    assert step.gained.task_interval.low >= 40.0


def test_figures_of_the_faulty_detector() -> None:
    task = diagnosis("detector").measurement.task
    assert (task.choice.kind, task.choice.output, task.choice.reason) == ("detect", "output", "targets")
    precision, at_half, agreement = task.figures
    assert [figure.criterion.name for figure in task.figures] == ["mAP", "mAP50", "box agreement"]
    assert [figure.simulated for figure in task.figures] == [0.0, 0.0, 0.0]
    assert 40.0 <= precision.reference <= at_half.reference - 30.0
    assert at_half.reference >= 85.0
    assert agreement.reference == 100.0
    assert {figure.sample_count for figure in task.figures} == {96}


def test_a_detector_with_boxes_and_scores_apart_is_healthy() -> None:
    found = diagnosis("detector_two_outputs")
    assert found.ranking.harm.verdict == "healthy"
    assert found.ranking.claimed == ()
    task = found.measurement.task
    assert (task.choice.kind, task.choice.output) == ("detect", "scores")
    assert all(abs(figure.loss) <= 3.0 for figure in task.figures)
    assert task.figures[0].reference == diagnosis("detector").measurement.task.figures[0].reference
