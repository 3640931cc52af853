"""Figures of a task as words, the same on the terminal and in the reports: any unit, either direction.

`None` for a criterion stands for the SQNR of the output that lost most, in dB.
"""

import math

from qdiag.core.causes.ranking import Trial
from qdiag.core.causes.score import Recovery, Score
from qdiag.core.measures.task import Criterion, Figure, Interval, TaskResult
from qdiag.reading.words.numbers import EXACT, EXACT_OUTPUTS, UNKNOWN, count_noun, number
from qdiag.reading.words.task.places import weakest_words

WEAKEST_SQNR = "weakest output SQNR"
"""Of the output that lost most, at its weakest part where parts count; that of a whole output is `SQNR of NAME`."""
_FIXED_UNITS = ("%", "pp", "dB")
"""Their figures have the same number of decimals whatever their size."""


def noun(criterion: Criterion | None) -> str:
    """What a network is judged by: `top-1`, `weakest output SQNR`."""
    return criterion.name if criterion is not None else WEAKEST_SQNR


def axis_label(criterion: Criterion | None) -> str:
    """`mIoU [%]`; without a unit the name alone."""
    if criterion is None:
        return f"{WEAKEST_SQNR} [dB]"
    name = f"{criterion.name} with the float network" if criterion.is_against_float else criterion.name
    return f"{name} [{criterion.unit}]" if criterion.unit else name


def change_unit(criterion: Criterion | None) -> str:
    """Of the difference of two values."""
    return criterion.change_unit if criterion is not None else "dB"


def value_words(criterion: Criterion | None, value: float) -> str:
    """A value: `76.4 %`, `0.1234 m`; an SQNR without noise is `exact`."""
    if criterion is None and value == math.inf:
        return EXACT
    return amount_words(criterion, value, criterion.unit if criterion is not None else "dB")


def change_words(criterion: Criterion | None, change: float) -> str:
    """The difference of two values: `67.4 pp`, `0.0123 m`."""
    return amount_words(criterion, change, change_unit(criterion))


def loss_words(criterion: Criterion | None, loss: float) -> str:
    """A loss or its limit: of answers that changed `%`, otherwise as `change_words`."""
    return amount_words(criterion, loss, criterion.harm_unit if criterion is not None else "dB")


def amount_words(criterion: Criterion | None, value: float, unit: str) -> str:
    """A number with a unit; nothing known has none."""
    return UNKNOWN if math.isnan(value) else f"{digits(criterion, value)} {unit}".rstrip()


def digits(criterion: Criterion | None, value: float) -> str:
    """Percent, points and dB with one decimal, decibels of which a tenth counts with two; others four digits."""
    if criterion is None or not math.isfinite(value) or criterion.unit in _FIXED_UNITS:
        is_fine = criterion is not None and criterion.unit == "dB" and criterion.limit < 1.0
        return number(value, 2 if is_fine else 1)
    return "0" if value == 0.0 else f"{value:.4g}"


def bounds_words(criterion: Criterion | None, interval: Interval) -> str:
    """`95 %: 63.0 to 71.3`; empty when a bound is NaN."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return ""
    return f"95 %: {digits(criterion, interval.low)} to {digits(criterion, interval.high)}"


def change_with_bounds(criterion: Criterion | None, change: float, interval: Interval) -> str:
    """`67.4 pp (95 %: 63.0 to 71.3)`."""
    bounds = bounds_words(criterion, interval)
    return change_words(criterion, change) + (f" ({bounds})" if bounds else "")


def from_to(figure: Figure) -> str:
    """`76.4 % → 9.0 %`."""
    return f"{value_words(figure.criterion, figure.reference)} → {value_words(figure.criterion, figure.simulated)}"


def figure_parts(figure: Figure) -> tuple[str, str, str]:
    """What stands before the change, the change, and what stands behind it; the change is empty for agreement.

    `top-1 76.4 % → 9.0 %, `, `drop 67.4 pp`, ` (95 %: 63.0 to 71.3), 500 samples`.
    """
    criterion, samples = figure.criterion, count_noun(figure.sample_count, "sample")
    if criterion.is_against_float:
        value = value_words(criterion, figure.simulated)
        if figure.counts is not None:
            return f"same answer as float on {value} of {samples}", "", ""
        bounds = bounds_words(criterion, figure.simulated_interval)
        return f"{criterion.name} with float {value}{f' ({bounds})' if bounds else ''}, {samples}", "", ""
    bounds = bounds_words(criterion, shown_interval(figure))
    behind = f" ({bounds}), {samples}" if bounds else f", {samples}"
    return f"{criterion.name} {from_to(figure)}, ", _change(figure), behind


def _change(figure: Figure) -> str:
    if figure.criterion.higher_is_better:
        word = "rise" if figure.loss < 0.0 else "drop"
        return f"{word} {change_words(figure.criterion, abs(figure.loss))}"
    verb = "fell by" if figure.loss < 0.0 else "rose by"
    return f"{verb} {change_words(figure.criterion, abs(figure.loss))}"


def shown_interval(figure: Figure) -> Interval:
    """That of the change as `figure_words` gives it: of a figure that became better, turned round."""
    interval = figure.loss_interval
    if not figure.loss < 0.0:
        return interval
    return interval.turned


def figure_words(figure: Figure) -> str:
    """`top-1 76.4 % → 9.0 %, drop 67.4 pp (95 %: 63.0 to 71.3), 500 samples`.

    `MAE 0.1234 m → 0.4567 m, rose by 0.3333 m (95 %: ...), 500 samples`; `same answer as float on 12.2 % of 500
    samples`.
    """
    return "".join(figure_parts(figure))


def level(score: Score, criterion: Criterion | None) -> float:
    """What a score comes to by this criterion; NaN where it has no such figure."""
    if criterion is None:
        return score.output_sqnr_db
    found = score.task.figure(criterion.name)
    return found.simulated if found is not None else math.nan


def float_level(task: TaskResult, criterion: Criterion | None) -> float:
    """What the float network comes to; NaN for SQNR, of which it has none."""
    found = task.figure(criterion.name) if criterion is not None else None
    return found.reference if found is not None else math.nan


def level_words(score: Score, criterion: Criterion | None) -> str:
    """`65.4 % top-1`; where the unit is no share, `MAE 0.4567 m`."""
    return _named(criterion, level(score, criterion))


def reference_words(figure: Figure) -> str:
    """The same of the float network."""
    return _named(figure.criterion, figure.reference)


def _named(criterion: Criterion | None, value: float) -> str:
    words = value_words(criterion, value)
    is_share = criterion is not None and criterion.unit == "%"
    return f"{words} {noun(criterion)}" if is_share else f"{noun(criterion)} {words}"


def score_words(score: Score, criterion: Criterion | None, *, names_sqnr: bool = False) -> str:
    """`65.4 % top-1, 8.2 dB`; where the unit is no share, `MAE 0.4567 m, weakest output SQNR 8.2 dB`.

    Of several outputs, or parts of one, it is said which is the weakest: `8.2 dB (output embedding)`.

    Args:
        names_sqnr: decibels are said to be the weakest output's SQNR, for sentences.
    """
    parts = []
    if criterion is not None and not math.isnan(level(score, criterion)):
        parts.append(level_words(score, criterion))
    if score.outputs:
        is_clear = not names_sqnr and (criterion is None or criterion.unit == "%")
        is_exact = score.output_sqnr_db == math.inf
        sqnr = EXACT_OUTPUTS if is_exact and is_clear else value_words(None, score.output_sqnr_db)
        parts.append(("" if is_clear else f"{WEAKEST_SQNR} ") + sqnr + weakest_words(score))
    return ", ".join(parts) or UNKNOWN


def trial_criterion(trial: Trial) -> Criterion | None:
    """What a trial is measured by."""
    judged = trial.after.task.judged if trial.after is not None else None
    return judged.criterion if judged is not None else None


def gain_of(recovery: Recovery, criterion: Criterion | None) -> tuple[Criterion | None, float, Interval]:
    """What came back: by the task where it is judged, in dB at the weakest output otherwise."""
    if recovery.has_task:
        return criterion, recovery.recovered_task, recovery.task_interval
    return None, recovery.recovered_db, recovery.db_interval


def gain_words(recovery: Recovery, criterion: Criterion | None) -> str:
    """`56.4 pp`, without the interval."""
    own, value, _ = gain_of(recovery, criterion)
    return change_words(own, value)


def recovery_words(recovery: Recovery, criterion: Criterion | None) -> str:
    """What came back, with the 95 % interval."""
    own, value, interval = gain_of(recovery, criterion)
    return change_with_bounds(own, value, interval)
