"""Hand-made figures of a task, and what is judged by them."""

from dataclasses import replace

from qdiag.core.causes.ranking import Harm, HarmVerdict
from qdiag.core.measures.counts import counts_figure
from qdiag.core.measures.outcomes import SampleOutcomes
from qdiag.core.measures.task import (
    UNDEFINED,
    Criterion,
    Figure,
    Interval,
    PairedCounts,
    TaskChoice,
    TaskResult,
)

AGREEMENT = Criterion("agreement", limit=5.0, is_against_float=True)
LABELLED = TaskChoice("classify", "output", "labels")
UNLABELLED = TaskChoice("classify", "output", "name", "head")


def top(k: int, counts: PairedCounts, outcomes: SampleOutcomes | None = None) -> Figure:
    """Accuracy: the label is among the k largest logits."""
    return replace(counts_figure(Criterion(f"top-{k}"), counts), outcomes=outcomes)


def agreement(same: int, samples: int, outcomes: SampleOutcomes | None = None) -> Figure:
    """`same` of the answers are the float network's."""
    return replace(counts_figure(AGREEMENT, PairedCounts(same, samples - same)), outcomes=outcomes)


def classified(
    samples: int,
    same: int,
    top1: PairedCounts | None = None,
    top5: PairedCounts | None = None,
) -> TaskResult:  # fmt: skip
    """The task of a classifier; without `top1` the data have no labels."""
    tops = [top(k, counts) for k, counts in ((1, top1), (5, top5)) if counts is not None]
    choice = LABELLED if top1 is not None else UNLABELLED
    return TaskResult(samples, (*tops, agreement(same, samples)), choice)


def metric(
    name: str,
    reference: float,
    simulated: float,
    loss_interval: Interval = UNDEFINED,
    *,
    samples: int = 500,
    unit: str = "",
    higher_is_better: bool = True,
    limit: float | None = None,
) -> Figure:
    """A metric of the user's; without `limit` a loss of a hundredth of the float network's value is harm."""
    size = 0.01 if limit is None else limit
    change_unit = "pp" if unit == "%" else unit
    criterion = Criterion(name, unit, change_unit, higher_is_better, size, size, is_relative=limit is None)
    return Figure(criterion, samples, reference, simulated, loss_interval)


def with_metrics(task: TaskResult, *metrics: Figure) -> TaskResult:
    """The same with figures of the user's first, the first of which then judges."""
    choice = replace(task.choice, output="", reason="metric", named_by="")
    return replace(task, figures=(*metrics, *task.figures), choice=choice)


def without(task: TaskResult, name: str) -> TaskResult:
    """The same without the figure of that name."""
    return replace(task, figures=tuple(figure for figure in task.figures if figure.criterion.name != name))


def harm(figure: Figure, verdict: HarmVerdict) -> Harm:
    """Judged by this figure."""
    return Harm(figure.criterion, figure.loss, figure.loss_interval, figure.limit, verdict)


def top1_of(task: TaskResult) -> PairedCounts | None:
    """Paired counts of right answers; None without labels."""
    figure = task.figure("top-1")
    return figure.counts if figure is not None else None


def agreeing(task: TaskResult) -> int | None:
    """Samples with the float network's answer; None without answers."""
    figure = task.figure("agreement")
    return figure.counts.both if figure is not None and figure.counts is not None else None
