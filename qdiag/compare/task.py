"""What two quantized networks do on the same samples, with an interval of the difference."""

import math

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.change import change_interval, is_mean_of, mean_interval, numbers_of, same_criterion
from qdiag.core.measures.measurement import OutputRecord
from qdiag.core.measures.outcomes import SampleOutcomes
from qdiag.core.measures.task import UNDEFINED, Z_95, Figure, Interval, PairedCounts
from qdiag.core.measures.task_change import FigureChange, OutputChange, PairedBy, TaskChange, ValueChange

NO_OUTCOMES = "not both diagnoses hold the outcomes of single samples"
OTHER_DATA = "the samples are not the same"


def task_change(before: Diagnosis, after: Diagnosis) -> TaskChange:
    """Every figure that both have, the one that judges first, and the SQNR of outputs."""
    is_same_data = before.measurement.data.digest == after.measurement.data.digest
    figures = before.measurement.task.figures
    pairs = [
        (own, figure)
        for figure in after.measurement.task.figures
        for own in figures
        if same_criterion(own, figure) and own.sample_count and figure.sample_count
    ]
    return TaskChange(
        tuple(_figure_change(own, figure, is_same_data=is_same_data) for own, figure in pairs),
        _output_changes(before.measurement.outputs, after.measurement.outputs),
    )


def independent_interval_pp(hits_before: int, count_before: int, hits_after: int, count_after: int) -> Interval:
    """95 % interval of a difference of two shares, after - before, each counted on samples of its own.

    Each sample set gets one more success and one more failure, which keeps the interval honest for few samples and
    shares near 0 or 1. Source: Agresti & Caffo, The American Statistician 54(4), 2000.
    """
    if not count_before or not count_after:
        return UNDEFINED
    first, second = (hits_before + 1) / (count_before + 2), (hits_after + 1) / (count_after + 2)
    variance = first * (1.0 - first) / (count_before + 2) + second * (1.0 - second) / (count_after + 2)
    margin = Z_95 * math.sqrt(variance)
    change = second - first
    return Interval(100.0 * max(-1.0, change - margin), 100.0 * min(1.0, change + margin))


def _figure_change(before: Figure, after: Figure, *, is_same_data: bool) -> FigureChange:
    quantized = _change(before, after, is_reference=False, is_same_data=is_same_data)
    if after.criterion.is_against_float:
        return FigureChange(after.criterion, quantized)
    reference = _change(before, after, is_reference=True, is_same_data=is_same_data)
    return FigureChange(after.criterion, quantized, reference, before.loss, after.loss)


def _change(before: Figure, after: Figure, *, is_reference: bool, is_same_data: bool) -> ValueChange:
    """Of the float networks, or of the quantized ones."""
    first, second = (figure.reference if is_reference else figure.simulated for figure in (before, after))
    interval, pairs = UNDEFINED, None
    paired_by: PairedBy = "samples"
    if is_same_data:
        pairs = _pairs(before, after, is_reference=is_reference)
        if pairs is not None:
            interval = Interval(-pairs.drop_interval_pp.high, -pairs.drop_interval_pp.low)
        else:
            interval = _paired_means(before, after, is_reference=is_reference)
    if math.isnan(interval.low):
        paired_by, interval = _unpaired(before, after, is_reference=is_reference)
    why = "" if paired_by == "samples" else NO_OUTCOMES if is_same_data else OTHER_DATA
    higher = after.criterion.higher_is_better
    return ValueChange(first, second, interval, paired_by, why, after.sample_count, pairs, higher)


def _unpaired(before: Figure, after: Figure, *, is_reference: bool) -> tuple[PairedBy, Interval]:
    """From the counts of each network, or from its interval, which is not known of float networks."""
    if before.counts is not None and after.counts is not None:
        hits = [_hits(counts, is_reference=is_reference) for counts in (before.counts, after.counts)]
        return "counts", independent_interval_pp(hits[0], before.sample_count, hits[1], after.sample_count)
    if is_reference:
        return "intervals", UNDEFINED
    interval = change_interval(after.simulated, after.simulated_interval, before.simulated, before.simulated_interval)
    return "intervals", interval


def _hits(counts: PairedCounts, *, is_reference: bool) -> int:
    return counts.both + (counts.reference_only if is_reference else counts.simulated_only)


def _pairs(before: Figure, after: Figure, *, is_reference: bool) -> PairedCounts | None:
    """None where outcomes are missing, damaged, of another number, or not those of the stored counts."""
    first, second = before.outcomes, after.outcomes
    if first is None or second is None or before.counts is None or after.counts is None:
        return None
    if not (first.are_bits and second.are_bits) or first.count != second.count:
        return None
    pairs = PairedCounts.of_bits(
        reference=_column(first, is_reference=is_reference),
        simulated=_column(second, is_reference=is_reference),
        count=first.count,
    )
    if pairs is None:
        return None
    found = pairs.both + pairs.reference_only, pairs.both + pairs.simulated_only
    stored = tuple(_hits(counts, is_reference=is_reference) for counts in (before.counts, after.counts))
    is_whole = before.sample_count == after.sample_count == pairs.sample_count
    return pairs if found == stored and is_whole else None


def _column(outcomes: SampleOutcomes, *, is_reference: bool) -> str:
    return outcomes.reference if is_reference else outcomes.simulated


def _paired_means(before: Figure, after: Figure, *, is_reference: bool) -> Interval:
    """Of a mean of one number per sample: from the differences on the same samples; NaN where they are not there."""
    numbers = numbers_of(before.outcomes), numbers_of(after.outcomes)
    if numbers[0] is None or numbers[1] is None:
        return UNDEFINED
    first, second = (own[0] if is_reference else own[1] for own in numbers if own is not None)
    values = [figure.reference if is_reference else figure.simulated for figure in (before, after)]
    if len(first) != len(second) or not (is_mean_of(first, values[0]) and is_mean_of(second, values[1])):
        return UNDEFINED
    return mean_interval(b - a for a, b in zip(first, second, strict=True))


def _output_changes(before: tuple[OutputRecord, ...], after: tuple[OutputRecord, ...]) -> tuple[OutputChange, ...]:
    by_name = {output.name: output for output in before}
    if len(before) == len(after) == 1:
        by_name = {after[0].name: before[0]}
    found: list[OutputChange] = []
    for output in after:
        other = by_name.get(output.name)
        if other is not None:
            found.append(OutputChange(output.name, other.sqnr_db, output.sqnr_db))
            found += _part_change(other, output)
    return tuple(found)


def _part_change(before: OutputRecord, after: OutputRecord) -> list[OutputChange]:
    """Of the part that is the weakest now, where it was measured before too."""
    weakest = after.weakest
    same = [part for part in before.parts if weakest is not None and part.name == weakest.name]
    if weakest is None or not same:
        return []
    return [OutputChange(f"{after.name}, {weakest.name}", same[0].error.sqnr_db, weakest.error.sqnr_db)]
