"""The hand-made diagnoses as if the network had another task: everything measured stays, the figures are others."""

import math
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

from qdiag.core.causes.ranking import Harm
from qdiag.core.causes.score import FloatCost, Recovery
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import UNDEFINED, Criterion, Figure, Interval, TaskChoice, TaskResult

ERROR = Criterion("depth error", "m", "m", higher_is_better=False, limit=0.05, small=0.05, is_relative=True)
"""Of a network that measures depth: its error in metres is a hundredth of what is missing to 100 % of top-1."""


def judged_by_sqnr(diagnosis: Diagnosis) -> Diagnosis:
    """Nothing of the task was counted."""
    found: Diagnosis = _changed(diagnosis, _without_task)
    worst = found.ranking.before.output_sqnr_db
    harm = Harm(None, worst, UNDEFINED, 20.0, "healthy" if worst >= 20.0 else "harmed")
    return replace(found, ranking=replace(found.ranking, harm=harm))


def judged_by_error(diagnosis: Diagnosis) -> Diagnosis:
    """A metric of the user's judges: lower is better, and its unit is metres."""
    found: Diagnosis = _changed(diagnosis, _with_error)
    return found


def _without_task(value: Any) -> Any:
    if isinstance(value, TaskResult):
        return TaskResult(value.sample_count, (), TaskChoice())
    if isinstance(value, Recovery):
        return replace(value, recovered_task=math.nan, task_interval=UNDEFINED, pairs=None)
    if isinstance(value, FloatCost):
        return FloatCost(value.relative_delta)
    return value


def _with_error(value: Any) -> Any:
    if isinstance(value, TaskResult):
        judged = value.figures[0]
        own = Figure(
            ERROR,
            judged.sample_count,
            (100.0 - judged.reference) / 100.0,
            (100.0 - judged.simulated) / 100.0,
            _hundredth(judged.loss_interval),
        )
        return TaskResult(value.sample_count, (own,), TaskChoice("regress", "", "metric"))
    if isinstance(value, Recovery):
        value = replace(value, recovered_task=value.recovered_task / 100.0, pairs=None)
        return replace(value, task_interval=_hundredth(value.task_interval))
    if isinstance(value, FloatCost):
        return replace(value, loss=value.loss / 100.0, unit="m", small=0.05)
    if isinstance(value, Harm):
        loss = value.value / 100.0
        return replace(value, criterion=ERROR, value=loss, interval=_hundredth(value.interval), limit=0.0118)
    return value


def _hundredth(interval: Interval) -> Interval:
    return Interval(interval.low / 100.0, interval.high / 100.0)


def _changed(value: Any, change: Any) -> Any:
    """The same with `change` made of every part, inner ones first."""
    names = _parts_of(type(value))
    if names is not None:
        parts = {name: getattr(value, name) for name in names}
        inner = {name: _changed(part, change) for name, part in parts.items()}
        same = all(inner[name] is parts[name] for name in parts)
        return change(value if same else replace(value, **inner))
    if isinstance(value, tuple):
        made = tuple(_changed(item, change) for item in value)
        return value if all(one is other for one, other in zip(made, value, strict=True)) else made
    return value


@cache
def _parts_of(kind: type) -> tuple[str, ...] | None:
    """Fields that are given when a dataclass is made; None for any other class."""
    return tuple(field.name for field in fields(kind) if field.init) if is_dataclass(kind) else None
