"""What cannot be in figures of a task that were measured, see `qdiag.core.contradictions`."""

import math
import re
from collections.abc import Iterator, Sequence

from qdiag.core.listed import count_noun
from qdiag.core.measures.change import FLOAT32, is_mean_of, mean_interval, numbers_of
from qdiag.core.measures.counts import counts_figure, success_intervals, unspread_interval
from qdiag.core.measures.outcomes import SampleOutcomes, pack_bits, unpack_bits
from qdiag.core.measures.task import Criterion, Figure, Interval, PairedCounts, TaskResult

_EXACT = 1e-9


def of_task(task: TaskResult) -> Iterator[str]:
    """What figures say of each other; of each alone, see `of_figure`."""
    n = task.sample_count
    if n < 0:
        yield "sample_count is negative"
    for figure in task.figures:
        if figure.sample_count != n:
            yield f"{figure.criterion.name} counts {count_noun(figure.sample_count, 'sample')}, and sample_count is {n}"
    kinds = [(figure.criterion.name, figure.criterion.is_against_float) for figure in task.figures]
    if len(set(kinds)) != len(kinds):
        yield "two figures have one name"
    counted = [f for f in task.figures if f.counts is not None and f.criterion.is_right_share]
    right = [f for f in counted if not f.criterion.is_against_float]
    against = [f for f in counted if f.criterion.is_against_float]
    if right and against:
        yield from _of_answers(right[0], against[0], n)
    yield from _of_ranks(right)


def _of_answers(right: Figure, against: Figure, n: int) -> Iterator[str]:
    """Where both networks are right they agree; where one alone is, they do not."""
    assert right.counts is not None
    assert against.counts is not None
    agreeing, differing = against.counts.both, right.counts.reference_only + right.counts.simulated_only
    names = f"{right.criterion.name} and {against.criterion.name}"
    if agreeing < right.counts.both or n - agreeing < differing:
        yield f"{names} exclude each other: {agreeing} of {n} agree, {differing} cannot"
        return
    if right.outcomes is None or against.outcomes is None:
        return
    columns = (right.outcomes.reference, right.outcomes.simulated, against.outcomes.simulated)
    reference, simulated, agree = (unpack_bits(text, n) for text in columns)
    if reference is None or simulated is None or agree is None:
        return
    if (reference & simulated & ~agree) or ((reference ^ simulated) & agree):
        yield f"outcomes of {names} exclude each other"


def _of_ranks(right: Sequence[Figure]) -> Iterator[str]:
    """Who is right among the first k is right among more."""
    for one in right:
        for other in right:
            if _is_within(one.criterion.name, other.criterion.name) and _is_more(one.counts, other.counts):
                yield f"{one.criterion.name} is right more often than {other.criterion.name}"


def _is_within(name: str, wider: str) -> bool:
    one, other = (re.fullmatch(r"(.*\D)(\d{1,9})", text) for text in (name, wider))
    return one is not None and other is not None and one[1] == other[1] and int(one[2]) < int(other[2])


def _is_more(one: PairedCounts | None, other: PairedCounts | None) -> bool:
    if one is None or other is None:
        return False
    return one.both + one.reference_only > other.both + other.reference_only or (
        one.both + one.simulated_only > other.both + other.simulated_only
    )


def of_figure(figure: Figure) -> Iterator[str]:
    """Values, counts, intervals and outcomes of one figure."""
    criterion, counts, n = figure.criterion, figure.counts, figure.sample_count
    if n < 0:
        yield "sample_count is negative"
    if criterion.is_share and criterion.is_against_float and n and not _same(figure.reference, 100.0):
        yield f"{criterion.name} of the float network with itself is {figure.reference} %"
    for name, interval, low in (
        ("loss_interval", figure.loss_interval, -100.0),
        ("simulated_interval", figure.simulated_interval, 0.0),
    ):
        if interval.low > interval.high:
            yield f"{name} ends before it begins"
        if criterion.is_right_share and (interval.low < low - _EXACT or interval.high > 100.0 + _EXACT):
            yield f"{name} reaches beyond what a share can be"
    if counts is None:
        for name, value, interval in (
            ("loss", figure.loss, figure.loss_interval),
            ("simulated", figure.simulated, figure.simulated_interval),
        ):
            room = _EXACT * max(1.0, abs(value))
            if interval.low - room > value or interval.high + room < value:
                yield f"{name} lies outside its interval"
    if counts is not None and min(counts.both, counts.reference_only, counts.simulated_only, counts.neither) >= 0:
        yield from _of_counts(figure, counts)
    if figure.outcomes is not None:
        yield from _of_outcomes(figure, figure.outcomes)


def _of_counts(figure: Figure, counts: PairedCounts) -> Iterator[str]:
    criterion, n = figure.criterion, figure.sample_count
    if counts.sample_count != n:
        yield f"counts of {count_noun(counts.sample_count, 'sample')}, and sample_count is {n}"
        return
    if criterion.is_against_float and (counts.simulated_only or counts.neither):
        yield "counts where the float network does not agree with itself"
    derived = counts_figure(criterion, counts)
    for name in ("reference", "simulated"):
        if not _same(getattr(figure, name), getattr(derived, name)):
            yield f"{name} is {getattr(figure, name)}, and counts say {getattr(derived, name)}"
    for name in ("loss_interval", "simulated_interval"):
        if not _same_bounds(getattr(figure, name), getattr(derived, name)):
            yield f"{name} and counts exclude each other"


def _of_outcomes(figure: Figure, outcomes: SampleOutcomes) -> Iterator[str]:
    n = figure.sample_count
    if outcomes.count != n:
        yield f"outcomes of {count_noun(outcomes.count, 'sample')}, and sample_count is {n}"
    elif outcomes.are_bits:
        yield from _of_bits(figure, outcomes)
    elif figure.counts is not None:
        yield "outcomes are numbers, and counts are of successes"
    else:
        numbers = numbers_of(outcomes)
        if numbers is None:
            yield "outcomes do not hold one number for each sample"
        elif not all(map(_is_mean, numbers, (figure.reference, figure.simulated))):
            yield "outcomes and their mean exclude each other"
        else:
            yield from _of_numbers(figure, *numbers)


def _of_numbers(figure: Figure, reference: tuple[float, ...], simulated: tuple[float, ...]) -> Iterator[str]:
    """The intervals of means come from the spread of their numbers."""
    if any(map(math.isinf, (*reference, *simulated))):
        return  # beyond float32: what they were is not known
    sign = 1.0 if figure.criterion.higher_is_better else -1.0
    room = max(map(abs, (*reference, *simulated)), default=0.0) * FLOAT32
    for name, interval, numbers in (
        ("loss_interval", figure.loss_interval, [sign * (r - s) for r, s in zip(reference, simulated, strict=True)]),
        ("simulated_interval", figure.simulated_interval, simulated),
    ):
        expected = (mean_interval(numbers), *_without_spread(figure, name, reference, simulated))
        if not any(_alike(room, interval, one) for one in expected):
            yield f"{name} and outcomes exclude each other"


def _without_spread(
    figure: Figure, name: str, reference: tuple[float, ...], simulated: tuple[float, ...]
) -> Iterator[Interval]:
    """What the interval may be where samples are successes, or a percentage is the same for all."""
    criterion, is_loss = figure.criterion, name == "loss_interval"
    if (found := success_intervals(reference if is_loss else simulated, simulated)) is not None:
        loss, own = found
        turned = loss if criterion.higher_is_better else Interval(-loss.high, -loss.low)
        yield turned if is_loss else own
    if criterion.is_share:
        value, low = (figure.loss, -100.0) if is_loss else (figure.simulated, 0.0)
        differences = {r - s for r, s in zip(reference, simulated, strict=True)} if is_loss else set(simulated)
        if len(differences) == 1:
            yield unspread_interval(value, low=low, high=100.0, count=figure.sample_count)


def _alike(room: float, one: Interval, other: Interval) -> bool:
    return _within(room, one.low, other.low) and _within(room, one.high, other.high)


def _within(room: float, one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or abs(one - other) <= room


def _of_bits(figure: Figure, outcomes: SampleOutcomes) -> Iterator[str]:
    n, counts = figure.sample_count, figure.counts
    if counts is None:
        yield "outcomes are successes, and nothing counts them"
        return
    if n and bool(outcomes.reference) == figure.criterion.is_against_float:
        yield "outcomes of one network alone, or of a float network that is held against itself"
        return
    reference = outcomes.reference or pack_bits([True] * n)
    if n and PairedCounts.of_bits(reference=reference, simulated=outcomes.simulated, count=n) != counts:
        yield "outcomes and counts exclude each other"


def of_criterion(criterion: Criterion) -> Iterator[str]:
    """Sizes of losses that no comparison could be made with."""
    for name in ("limit", "small"):
        if not getattr(criterion, name) >= 0.0:
            yield f"{name} is {getattr(criterion, name)}"


def _is_mean(numbers: tuple[float, ...], value: float) -> bool:
    """Numbers beyond float32 were stored as infinite: their mean is not known."""
    if not numbers or any(map(math.isinf, numbers)):
        return True
    if any(map(math.isnan, numbers)) or math.isnan(value):
        return any(map(math.isnan, numbers)) == math.isnan(value)
    return is_mean_of(numbers, value)


def _same(one: float, other: float) -> bool:
    return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=_EXACT, abs_tol=_EXACT)


def _same_bounds(one: Interval, other: Interval) -> bool:
    return _same(one.low, other.low) and _same(one.high, other.high)
