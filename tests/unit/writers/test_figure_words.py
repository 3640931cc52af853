"""Figures of any unit and direction, and what a network is judged by, as words."""

import math
from dataclasses import replace

import pytest

from qdiag.core.measures.task import UNDEFINED, Criterion, Figure, Interval, PairedCounts, TaskChoice, TaskResult
from qdiag.reading.words.task.choice import counts_no_answers, judged_words, next_step_words
from qdiag.reading.words.task.figures import axis_label, figure_words, gain_words, level, recovery_words, score_words
from tests.diagnoses import diagnosis
from tests.figures import agreement, metric, top, with_metrics
from tests.other_tasks import ERROR, judged_by_error, judged_by_sqnr

PSNR = Criterion("PSNR", "dB", "dB", limit=0.1, small=0.1)
COSINE = Criterion("cosine", "", "", limit=0.01, small=0.01, is_against_float=True)
MASKS = Criterion("pixel agreement", limit=5.0, is_against_float=True)


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (
            top(1, PairedCounts(38, 344, 7, 111)),
            "top-1 76.4 % → 9.0 %, drop 67.4 pp (95 %: 62.7 to 71.5), 500 samples",
        ),
        (
            metric("mIoU", 60.5, 50.9, Interval(8.0, 11.2), unit="%"),
            "mIoU 60.5 % → 50.9 %, drop 9.6 pp (95 %: 8.0 to 11.2), 500 samples",
        ),
        (metric("mIoU", 60.5, 60.75, unit="%"), "mIoU 60.5 % → 60.8 %, rise 0.2 pp, 500 samples"),
        (
            Figure(ERROR, 500, 0.12345, 0.45671, Interval(0.3, 0.36)),
            "depth error 0.1235 m → 0.4567 m, rose by 0.3333 m (95 %: 0.3 to 0.36), 500 samples",
        ),
        (
            Figure(ERROR, 9, 0.5, 0.25, Interval(-0.35, -0.15)),
            "depth error 0.5 m → 0.25 m, fell by 0.25 m (95 %: 0.15 to 0.35), 9 samples",
        ),
        (Figure(ERROR, 9, 0.5, math.inf), "depth error 0.5 m → inf m, rose by inf m, 9 samples"),
        (Figure(ERROR, 9, 0.5, math.nan), "depth error 0.5 m → not known, rose by not known, 9 samples"),
        (metric("steps", 123456.0, 120000.0), "steps 1.235e+05 → 1.2e+05, drop 3456, 500 samples"),
        (
            Figure(PSNR, 5, 31.237, 31.12, Interval(0.05, 0.18)),
            "PSNR 31.24 dB → 31.12 dB, drop 0.12 dB (95 %: 0.05 to 0.18), 5 samples",
        ),
        (metric("snr", 31.237, 29.0, unit="dB", limit=1.0), "snr 31.2 dB → 29.0 dB, drop 2.2 dB, 500 samples"),
        (agreement(61, 500), "same answer as float on 12.2 % of 500 samples"),
        (
            Figure(MASKS, 20, 100.0, 97.06, simulated_interval=Interval(96.0, 98.0)),
            "pixel agreement with float 97.1 % (95 %: 96.0 to 98.0), 20 samples",
        ),
        (Figure(COSINE, 20, 1.0, 0.98765), "cosine with float 0.9877, 20 samples"),
    ],
)
def test_a_figure_reads_well_whatever_its_unit_and_direction(figure: Figure, words: str) -> None:
    assert figure_words(figure) == words


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (TaskChoice("classify", "logits", "labels"), "judged by top-1 at output logits: the labels fit it"),
        (TaskChoice("classify", "logits", "asked"), "judged by top-1 at output logits, as asked for"),
        (TaskChoice("segment", "mask", "targets"), "judged by top-1 at output mask: the targets fit it"),
        (TaskChoice("classify", "probs", "softmax"), "judged by top-1 at output probs: it ends in a softmax"),
        (
            TaskChoice("classify", "probs", "name", "probs"),
            "judged by top-1 at output probs: its name is one that classifiers give to their answers",
        ),
        (
            TaskChoice("classify", "output", "name", "head"),
            "judged by top-1 at the output: the layer head behind it is named as in a classifier",
        ),
        (TaskChoice("none", "", "metric"), "judged by top-1, the metric that was given"),
        (TaskChoice("none", "out", "metric"), "judged by top-1 at output out, the metric that was given"),
    ],
)
def test_every_choice_of_a_task_is_said_with_its_reason(task: TaskChoice, words: str) -> None:
    assert judged_words(TaskResult(500, (top(1, PairedCounts(38, 344, 7, 111)),), task)) == words


def test_without_a_figure_the_outputs_judge_and_the_next_step_is_said() -> None:
    unknown = TaskResult(5, (), TaskChoice())
    assert judged_words(unknown) == "judged by the SQNR of its outputs: nothing says what the network answers"
    assert counts_no_answers(unknown) and "labels, targets or a metric" in next_step_words(unknown)
    assert "--" not in next_step_words(unknown), "only the command line names options"
    one = TaskResult(5, (), TaskChoice("none", "output"))
    assert judged_words(one) == "judged by the SQNR of the output: nothing says what the network answers"
    unequal = TaskResult(5, (), TaskChoice("none", "pose", "unequal_numbers", "fc"))
    assert judged_words(unequal) == (
        "judged by the SQNR of output pose: its numbers differ in size as quantities do, although the layer fc is "
        "named as in a classifier"
    )
    assert counts_no_answers(unequal) and next_step_words(unequal) == next_step_words(unknown)
    asked = TaskResult(5, (), TaskChoice("regress", "depth", "asked"))
    assert judged_words(asked) == "judged by the SQNR of output depth, as asked for"
    assert next_step_words(asked) == ""
    assert judged_words(TaskResult(5, (), TaskChoice("none", "", "no_output"))) == (
        "not judged: no output is a float tensor"
    )


def test_what_rests_on_a_name_alone_says_so() -> None:
    named = TaskResult(5, (agreement(4, 5),), TaskChoice("classify", "output", "name", "fc"))
    assert next_step_words(named) == (
        "Only a name says that its numbers belong to classes: if they are quantities or an embedding, say which task "
        "it has."
    )
    softmax = TaskResult(5, (agreement(4, 5),), TaskChoice("classify", "output", "softmax"))
    assert next_step_words(softmax) == ""


def test_scores_and_gains_are_in_the_unit_of_what_judges() -> None:
    ranking, other = diagnosis().ranking, judged_by_error(diagnosis()).ranking
    assert score_words(ranking.before, ranking.criterion) == "9.0 % top-1, 1.1 dB"
    assert score_words(other.before, other.criterion) == "depth error 0.91 m, weakest output SQNR 1.1 dB"
    assert score_words(other.before, None) == "1.1 dB"
    recovery = other.causes[0].trials[0].recovery
    assert recovery is not None
    assert recovery_words(recovery, ERROR) == "0.564 m (95 %: 0.5163 to 0.6072)"
    assert gain_words(recovery, ERROR) == "0.564 m"
    in_db = replace(recovery, recovered_task=math.nan, task_interval=UNDEFINED)
    assert recovery_words(in_db, ERROR) == "8.6 dB (95 %: 8.5 to 8.7)"


def test_a_score_is_read_by_the_name_of_the_criterion() -> None:
    before = diagnosis().ranking.before
    more = replace(before, task=with_metrics(before.task, metric("f1", 0.9, 0.8)))
    top1 = before.task.figures[0].criterion
    assert level(more, top1) == 9.0
    assert math.isnan(level(judged_by_sqnr(diagnosis()).ranking.before, top1))


@pytest.mark.parametrize(
    ("criterion", "words"),
    [
        (None, "weakest output SQNR [dB]"),
        (ERROR, "depth error [m]"),
        (Criterion("edit distance", "", ""), "edit distance"),
        (COSINE, "cosine with the float network"),
        (MASKS, "pixel agreement with the float network [%]"),
    ],
)
def test_an_axis_has_the_name_and_the_unit(criterion: Criterion | None, words: str) -> None:
    assert axis_label(criterion) == words
