"""A metric of the user's own."""

import copy
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.measures.task import Criterion, Figure
from qdiag.errors import ConfigError, QdiagError, first_line
from qdiag.simulate.task.base import Gain, RowTally, Table
from qdiag.simulate.task.groups import GROUPS, chosen_samples, group_figure, group_gain, group_of
from qdiag.simulate.task.means import mean_figure, mean_gain

_RELATIVE_LIMIT = 0.01
"""Of the float network's value; what a metric of unknown unit may lose unless the user says otherwise."""


@dataclass(frozen=True)
class MetricRequest:
    """A metric as the user gives it.

    Attributes:
        function: `fn(outputs, targets)` giving scores (N,) or one number for the batch, or a class, or an object, with
            `update`, `compute` and `reset`. Its attributes `higher_is_better`, `limit` and `unit` count where the
            fields here are None.
        limit: loss that is harm, in the unit of the metric.
    """

    function: object
    higher_is_better: bool | None = None
    limit: float | None = None


def user_task(request: MetricRequest) -> "UserFunction | UserMeter":
    """The task of a metric.

    Raises:
        ConfigError: it is neither a function nor an object with `update`, `compute` and `reset`.
    """
    function = request.function
    name = getattr(function, "__name__", type(function).__name__)
    is_meter = all(hasattr(function, method) for method in ("update", "compute"))
    if not is_meter and not callable(function):
        raise ConfigError(f"{name} is not a function", at="metric", hint="give fn(outputs, targets)")
    if is_meter and not isinstance(function, type) and not hasattr(function, "reset"):
        raise ConfigError(f"{name} has update and compute, but no reset", at="metric", hint="add reset()")
    higher, limit = request.higher_is_better, request.limit
    if higher is None:
        # torchmetrics says None where a metric has no direction
        given = getattr(function, "higher_is_better", None)
        higher = given is None or bool(given)
    if limit is None:
        limit = getattr(function, "limit", None)
    unit = str(getattr(function, "unit", ""))
    change_unit = "pp" if unit == "%" else unit
    size = _RELATIVE_LIMIT if limit is None else _checked_limit(limit, name)
    criterion = Criterion(name, unit, change_unit, higher, size, size, is_relative=limit is None)
    return UserMeter(criterion, function) if is_meter else UserFunction(criterion, function)  # type: ignore[arg-type]


@dataclass(frozen=True)
class UserFunction:
    """`function(outputs, targets)`: scores (N,), or one number for the batch, which is then weighted by its samples."""

    criterion: Criterion
    function: Callable[[Any, Any], Any]
    key: Hashable | None = None

    def tally(self) -> RowTally:
        return RowTally(self)

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """Score and weight, (N, 2), or (1, 2) with N as the weight.

        Raises:
            ConfigError: the user's function failed or returned something else.
        """
        del reference
        name, count = self.criterion.name, batch.sample_count
        scores = _called(
            name, batch.labels, lambda: torch.as_tensor(self.function(_given(outputs), copy.deepcopy(batch.labels)))
        )
        scores = scores.detach().to("cpu", torch.float64)
        if scores.shape == (count,):
            return torch.stack([scores, torch.ones(count, dtype=torch.float64)], 1)
        if scores.shape == ():
            return torch.stack([scores, torch.tensor(float(count), dtype=torch.float64)]).unsqueeze(0)
        shape = tuple(scores.shape)
        raise ConfigError(f"the metric returned shape {shape}", at=name, hint="return (N,) or one number")

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        return mean_figure(self.criterion, reference=reference, simulated=simulated)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return mean_gain(self.criterion, before=before, after=after)


@dataclass(frozen=True)
class UserMeter:
    """An object with `update(outputs, targets)`, `compute()` and `reset()`, or a class that makes such objects."""

    criterion: Criterion
    meter: Any
    key: Hashable | None = None

    def tally(self) -> "MeterTally":
        return MeterTally(self)

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        return group_figure(self.criterion, reference=reference, simulated=simulated)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return group_gain(self.criterion, before=before, after=after)


class MeterTally:
    """One object for all samples, and one for all samples without each group: no answers are held.

    Raises:
        ConfigError: the object cannot be copied.
    """

    def __init__(self, task: UserMeter) -> None:
        self._name = task.criterion.name
        self._meters = [_fresh(task.meter, self._name) for _ in range(1 + GROUPS)]
        self._count = 0
        self._table: Table | None = None

    def add(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> None:
        """Adds one batch to every object whose samples it has."""
        del reference
        self._table = None
        groups = [group_of(self._count + i) for i in range(batch.sample_count)]
        self._count += batch.sample_count
        self._update(self._meters[0], batch, outputs)
        for left_out, meter in enumerate(self._meters[1:]):
            self._update(meter, *chosen_samples(batch, outputs, [group != left_out for group in groups]))

    def _update(self, meter: Any, batch: Batch | None, outputs: tuple[Any, ...]) -> None:
        if batch is not None:
            _called(self._name, batch.labels, lambda: meter.update(_given(outputs), copy.deepcopy(batch.labels)))

    def table(self) -> Table:
        """The metric over all samples, then without each group, then the number of samples, (2 + groups, 1).

        With less than two samples in a group there are no groups.
        """
        if self._table is None:  # asked once: what `compute` does to its object is not known
            self._table = self._computed()
        return self._table

    def _computed(self) -> Table:
        meters = self._meters if self._count >= 2 * GROUPS else self._meters[:1]
        values = [_computed(self._name, meter) for meter in meters] if self._count else [math.nan]
        return np.array([*values, float(self._count)]).reshape(-1, 1)


def _checked_limit(limit: Any, name: str) -> float:
    try:
        size = float(limit)
    except (TypeError, ValueError):
        size = math.nan
    if not 0.0 <= size < math.inf:
        raise ConfigError(f"a limit of {limit}", at=name, hint="give 0 or more, in the unit of the metric")
    return size


def _computed(name: str, meter: Any) -> float:
    value: float = _called(name, "", lambda: float(meter.compute()))
    return value


def _fresh(meter: Any, name: str) -> Any:
    if isinstance(meter, type):
        return _called(name, "", meter)
    try:
        own = copy.deepcopy(meter)
    except Exception as error:
        raise ConfigError(
            f"the metric cannot be copied: {first_line(error)}", at=name, hint="give its class instead of an object"
        ) from error
    _called(name, "", own.reset)
    return own


def _given(outputs: tuple[Any, ...]) -> Any:
    """Copies beside the targets, on the CPU: what a metric changes in place is its own."""
    own = tuple(x.detach().to("cpu", copy=True) if isinstance(x, Tensor) else x for x in outputs)
    return own[0] if len(own) == 1 else own


def _called(name: str, labels: object, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except QdiagError:
        raise
    except Exception as error:
        hint = "the data has no labels: labels is None" if labels is None else None
        raise ConfigError(f"the metric failed: {first_line(error)}", at=name, hint=hint) from error
