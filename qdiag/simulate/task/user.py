"""A metric of the user's own."""

import copy
import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.listed import count_noun
from qdiag.core.measures.task import Criterion, Figure
from qdiag.errors import ConfigError, QdiagError, first_line
from qdiag.files.code_failure import code_failure
from qdiag.simulate.task.base import Gain, RowTask, Table
from qdiag.simulate.task.means import mean_figure, mean_gain
from qdiag.simulate.task.meters.groups import group_figure, group_gain
from qdiag.simulate.task.meters.tally import MeterTally
from qdiag.targets import copied_targets

_RELATIVE_LIMIT = 0.01
"""Of the float network's value; what a metric of unknown unit may lose unless the user says otherwise."""
_RETURN_HINT = "return a score for each sample (N,), or one number for the batch"

_COMPUTE_HINT = "return one number over all samples"


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
        raise ConfigError(f"{name} is not a function", at="`metric`", hint="give fn(outputs, targets)")
    if is_meter and not isinstance(function, type) and not hasattr(function, "reset"):
        raise ConfigError(f"{name} has update and compute, but no reset", at="`metric`", hint="add reset()")
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
class UserFunction(RowTask):
    """`function(outputs, targets)`: scores (N,), or one number for the batch, which is then weighted by its samples."""

    criterion: Criterion
    function: Callable[[Any, Any], Any]
    key: Hashable | None = None

    def rows(self, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...]) -> Tensor:
        """Score and weight, (N, 2), or (1, 2) with N as the weight.

        Raises:
            ConfigError: the user's function failed or returned something else.
        """
        del reference
        name, count = self.criterion.name, batch.sample_count
        labels = copied_targets(batch.labels)
        scores = _numbers(name, _called(name, batch.labels, lambda: self.function(_given(outputs), labels)))
        if scores.shape == (count,):
            return torch.stack([scores, torch.ones(count, dtype=torch.float64)], 1)
        if scores.shape == ():
            return torch.stack([scores, torch.tensor(float(count), dtype=torch.float64)]).unsqueeze(0)
        shape = tuple(scores.shape)
        raise ConfigError(
            f"the metric returned shape {shape} for a batch of {count_noun(count, 'sample')}",
            at=name,
            hint=_RETURN_HINT,
        )

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        return mean_figure(self.criterion, reference=reference, simulated=simulated, may_be_successes=True)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return mean_gain(self.criterion, before=before, after=after, may_be_successes=True)


@dataclass(frozen=True)
class UserMeter:
    """An object with `update(outputs, targets)`, `compute()` and `reset()`, or a class that makes such objects."""

    criterion: Criterion
    meter: Any
    key: Hashable | None = None

    def tally(self) -> MeterTally:
        """See `Task.tally`.

        Raises:
            ConfigError: the object cannot be copied.
        """
        return MeterTally(lambda: _fresh(self.meter, self.criterion.name), self._update, self._value)

    def _update(self, meter: Any, batch: Batch, outputs: tuple[Any, ...]) -> None:
        given = copied_targets(batch.labels)
        _called(self.criterion.name, batch.labels, lambda: meter.update(_given(outputs), given))

    def _value(self, meter: Any) -> float:
        return _one_number(self.criterion.name, _called(self.criterion.name, "", meter.compute))

    def figure(self, *, reference: Table, simulated: Table) -> Figure:
        return group_figure(self.criterion, reference=reference, simulated=simulated)

    def gain(self, *, before: Table, after: Table) -> Gain:
        return group_gain(self.criterion, before=before, after=after)


def _checked_limit(limit: Any, name: str) -> float:
    try:
        size = float(limit)
    except (TypeError, ValueError):
        size = math.nan
    if not 0.0 <= size < math.inf:
        raise ConfigError(f"a limit of {limit}", at=name, hint="give 0 or more, in the unit of the metric")
    return size


def _numbers(name: str, value: Any, what: str = "the metric", hint: str = _RETURN_HINT) -> Tensor:
    """What a metric returned, float64 on the CPU.

    Raises:
        ConfigError: it is no number and no tensor, array or list of real numbers.
    """
    try:
        found = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(value, (list, tuple)) and any(isinstance(part, Tensor) and part.ndim for part in value):
            hint = f"{hint}: the tensors in it have several numbers each"
            raise ConfigError(f"{what} returned a list of tensors", at=name, hint=hint) from error
        raise ConfigError(f"{what} returned {_described(value)}", at=name, hint=hint) from error
    if found.is_complex():
        raise ConfigError(f"{what} returned complex numbers", at=name, hint=hint)
    return found.detach().to("cpu", torch.float64)


def _one_number(name: str, value: Any) -> float:
    """What `compute` returned.

    Raises:
        ConfigError: it is not one number.
    """
    if isinstance(value, dict):
        names = ", ".join(map(str, list(value)[:4]))
        hint = f"it holds {names}: give an object whose compute() returns one of them"
        raise ConfigError("compute() returned a dictionary", at=name, hint=hint)
    found = _numbers(name, value, "compute()", _COMPUTE_HINT)
    if found.numel() != 1:
        raise ConfigError(f"compute() returned shape {tuple(found.shape)}", at=name, hint=_COMPUTE_HINT)
    return float(found)


def _described(value: Any) -> str:
    """The type, and of a text how it begins."""
    if value is None:
        return "None"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return f"an object of type {type(value).__name__}"


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
        raise ConfigError(f"the metric failed: {code_failure(error)}", at=name, hint=hint) from error
