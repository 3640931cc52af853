"""Limits on figures in percent that may have been meant as fractions: 0.4 for 40 %, 0.02 for 2 points."""

import math
from collections.abc import Iterator

from qdiag.core.gate import GateRule
from qdiag.core.measures.task import Criterion, Figure, TaskResult
from qdiag.core.thresholds import Limit, Thresholds

_VALUES = {"min_accuracy": "`min_accuracy='{}'`", "min_metric": "`min_metric='{}'`", "max_metric": "`max_metric='{}'`"}
_TINY = 0.1
"""A limit on a loss below this, in points, decides nothing on fewer than thousands of samples."""


def why_no_percent(criterion: Criterion, limit: Limit) -> str | None:
    """Why a limit with a sign of percent is not held against a figure; None where it can be."""
    if not limit.is_percent or criterion.is_share:
        return None
    unit = f"is in {criterion.unit}" if criterion.unit else "has no unit"
    return f"the limit is in percent, and {criterion.name} {unit}"


def why_ambiguous(rule: GateRule, criterion: Criterion, limit: Limit) -> str | None:
    """Why a limit on a value in percent is not held against it; None where it means one thing alone.

    0.4 may be 0.4 % or 40 %. As 0.4 % it would let nearly every network pass, so it is refused; a sign of percent says
    which one is meant.
    """
    levels = [level for level in (limit.fail, limit.warn) if level is not None and 0.0 < abs(level) < 1.0]
    if not levels or limit.is_percent or not criterion.is_share:
        return None
    one, other = f"{levels[0]:g}%", f"{100.0 * levels[0]:g}%"
    given = _VALUES[rule]
    return (
        f"{criterion.name} is in percent, and {levels[0]:g} may mean {one} or {other}: "
        f"give {given.format(one)} or {given.format(other)}"
    )


def notes_on_losses(task: TaskResult, thresholds: Thresholds) -> Iterator[str]:
    """What a limit on a loss means, where it was probably meant in another unit."""
    accuracy, judged, agreement = task.accuracy, task.judged, task.agreement
    asked: tuple[tuple[str, Limit, Figure | None, str], ...] = (
        ("`max_drop={:g}`", thresholds.max_drop_pp, accuracy, "pp"),
        ("`max_relative_drop={:g}`", thresholds.max_relative_drop_percent, accuracy, "%"),
        ("`max_flips={:g}`", thresholds.max_flips_percent, agreement, "%"),
        ("`max_metric_drop={:g}`", thresholds.max_metric_drop, judged, ""),
        ("`tolerance={:g}`", thresholds.tolerance_pp, accuracy or agreement, "pp"),
        ("`tolerance_metric={:g}`", thresholds.tolerance_metric, judged, ""),
    )
    for given, limit, figure, own_unit in asked:
        least = limit.fail if limit.fail is not None else limit.warn
        if figure is None or least is None:
            continue
        if figure.criterion.is_share and not limit.is_percent and 0.0 < least < _TINY:
            unit, whole = own_unit or figure.criterion.harm_unit, 100.0 * least
            why = f"{given.format(least)} is {least:g} {unit}, since {figure.criterion.name} is in percent"
            yield f"{why}: for {whole:g} {unit} give {given.format(whole)}"
    if judged is not None:
        yield from _beyond_all(judged, thresholds.max_metric_drop)


def _beyond_all(figure: Figure, limit: Limit) -> Iterator[str]:
    """A loss of everything would be within the limit: 1 on a figure between 0 and 1."""
    everything = figure.reference
    if limit.fail is None or not figure.criterion.higher_is_better or not 0.0 < everything <= limit.fail:
        return
    if math.isfinite(everything):
        yield (
            f"`max_metric_drop={limit.fail:g}` would let pass a fall of {figure.criterion.name} to 0: "
            f"the float network has {everything:.3g}{figure.criterion.unit and ' ' + figure.criterion.unit}"
        )
