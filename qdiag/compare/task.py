"""What two quantized networks do on the same samples, with an interval of the difference."""

import math
from typing import Literal

from qdiag.core.causes.ranking import TaskKind
from qdiag.core.compare import FigureChange, PercentChange, TaskChange
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.measurement import OutputRecord
from qdiag.core.measures.task import Z_95, Interval, PairedCounts, TaskResult

NO_OUTCOMES = "not both diagnoses hold the outcomes of single samples"
OTHER_DATA = "the samples are not the same"

Column = Literal["simulated_right", "reference_right", "agree"]


def task_kind(task: TaskResult) -> TaskKind:
    """What the samples are judged by."""
    if task.top1 is not None:
        return "top1"
    return "none" if task.agreement_count is None or not task.sample_count else "agreement"


def task_change(before: Diagnosis, after: Diagnosis) -> TaskChange:
    """Accuracy where both have labels, agreement with the own float network where both have logits."""
    first, second = before.measurement.task, after.measurement.task
    outputs = _output_changes(before.measurement.outputs, after.measurement.outputs)
    metrics = _metric_changes(first, second)
    is_same_data = before.measurement.data.digest == after.measurement.data.digest
    kinds = {task_kind(first), task_kind(second)}
    if "none" in kinds:
        return TaskChange("none", outputs=outputs, metrics=metrics)
    if "agreement" in kinds or first.top1 is None or second.top1 is None:
        agreement = _percent_change(first, second, "agree", is_same_data=is_same_data)
        return TaskChange("agreement", agreement, outputs=outputs, metrics=metrics)
    return TaskChange(
        kind="top1",
        quantized=_percent_change(first, second, "simulated_right", is_same_data=is_same_data),
        float_network=_percent_change(first, second, "reference_right", is_same_data=is_same_data),
        drop_before_pp=first.top1.drop_pp,
        drop_after_pp=second.top1.drop_pp,
        outputs=outputs,
        metrics=metrics,
    )


def independent_interval_pp(hits_before: int, count_before: int, hits_after: int, count_after: int) -> Interval:
    """95 % interval of a difference of two shares, after - before, each counted on samples of its own.

    Each sample set gets one more success and one more failure, which keeps the interval honest for few samples and
    shares near 0 or 1. Source: Agresti & Caffo, The American Statistician 54(4), 2000.
    """
    if not count_before or not count_after:
        return Interval(math.nan, math.nan)
    first, second = (hits_before + 1) / (count_before + 2), (hits_after + 1) / (count_after + 2)
    variance = first * (1.0 - first) / (count_before + 2) + second * (1.0 - second) / (count_after + 2)
    margin = Z_95 * math.sqrt(variance)
    change = second - first
    return Interval(100.0 * max(-1.0, change - margin), 100.0 * min(1.0, change + margin))


def _percent_change(first: TaskResult, second: TaskResult, column: Column, *, is_same_data: bool) -> PercentChange:
    (hits_before, count_before), (hits_after, count_after) = _hits(first, column), _hits(second, column)
    before, after = (100.0 * hits_before / count_before, 100.0 * hits_after / count_after)
    pairs = _pairs(first, second, column) if is_same_data else None
    if pairs is None:
        interval = independent_interval_pp(hits_before, count_before, hits_after, count_after)
        return PercentChange(before, after, interval, "counts", NO_OUTCOMES if is_same_data else OTHER_DATA)
    lost = pairs.drop_interval_pp
    return PercentChange(before, after, Interval(-lost.high, -lost.low), "samples", pairs=pairs)


def _hits(task: TaskResult, column: Column) -> tuple[int, int]:
    """How many samples count, of how many."""
    if column == "agree" or task.top1 is None:
        return task.agreement_count or 0, task.sample_count
    other = task.top1.simulated_only if column == "simulated_right" else task.top1.reference_only
    return task.top1.both + other, task.top1.sample_count


def _pairs(first: TaskResult, second: TaskResult, column: Column) -> PairedCounts | None:
    """None where outcomes are missing, damaged, of another number, or not those of the stored counts."""
    if first.outcomes is None or second.outcomes is None or first.outcomes.count != second.outcomes.count:
        return None
    pairs = PairedCounts.of_bits(
        reference=getattr(first.outcomes, column),
        simulated=getattr(second.outcomes, column),
        count=first.outcomes.count,
    )
    if pairs is None:
        return None
    found = (
        (pairs.both + pairs.reference_only, pairs.sample_count),
        (pairs.both + pairs.simulated_only, pairs.sample_count),
    )
    return pairs if found == (_hits(first, column), _hits(second, column)) else None


def _output_changes(before: tuple[OutputRecord, ...], after: tuple[OutputRecord, ...]) -> tuple[FigureChange, ...]:
    by_name = {output.name: output for output in before}
    if len(before) == len(after) == 1:
        by_name = {after[0].name: before[0]}
    found: list[FigureChange] = []
    for output in after:
        other = by_name.get(output.name)
        if other is not None:
            found.append(FigureChange(output.name, other.error.sqnr_db, output.error.sqnr_db, "dB"))
            found += _part_change(other, output)
    return tuple(found)


def _part_change(before: OutputRecord, after: OutputRecord) -> list[FigureChange]:
    """Of the part that is the weakest now, where it was measured before too."""
    weakest = after.weakest
    same = [part for part in before.parts if weakest is not None and part.name == weakest.name]
    if weakest is None or not same:
        return []
    return [FigureChange(f"{after.name}, {weakest.name}", same[0].error.sqnr_db, weakest.error.sqnr_db, "dB")]


def _metric_changes(first: TaskResult, second: TaskResult) -> tuple[FigureChange, ...]:
    by_name = {metric.name: metric.simulated for metric in first.metrics}
    return tuple(
        FigureChange(metric.name, by_name[metric.name], metric.simulated)
        for metric in second.metrics
        if metric.name in by_name
    )
