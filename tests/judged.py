"""Criteria over answers that a test makes up, without a network."""

import math
from collections.abc import Sequence
from typing import Any

from qdiag.batches import Batch
from qdiag.core.measures.task import Figure, Interval
from qdiag.simulate.task.base import Gain, Table, Task
from qdiag.simulate.task.tasks import Tasks, TaskSink
from qdiag.targets import target_rows


def judged(task: Task, reference: Any, simulated: Any, targets: Any = None, sizes: Sequence[int] = ()) -> Figure:
    """The figure of one criterion; `reference` and `simulated` are a tensor each, or a tuple of outputs.

    Args:
        sizes: samples of each batch; all in one batch without them.
    """
    figure = _sink(task, reference, simulated, targets, sizes).result().judged
    assert figure is not None
    return figure


def tables(task: Task, reference: Any, simulated: Any, targets: Any = None) -> tuple[Table, Table]:
    """What both networks collected."""
    found = _sink(task, reference, simulated, targets, ()).tables()
    assert found is not None
    return found


def gained(task: Task, reference: Any, before: Any, after: Any, targets: Any = None) -> Gain:
    """What `after` has over `before`."""
    return task.gain(
        before=tables(task, reference, before, targets)[1], after=tables(task, reference, after, targets)[1]
    )


def is_undefined(interval: Interval) -> bool:
    """Both bounds are NaN."""
    return math.isnan(interval.low) and math.isnan(interval.high)


def _sink(task: Task, reference: Any, simulated: Any, targets: Any, sizes: Sequence[int]) -> TaskSink:
    one, other = (x if isinstance(x, tuple) else (x,) for x in (reference, simulated))
    sink, first = TaskSink(Tasks((task,))), 0
    for size in sizes or [len(one[0])]:
        part = slice(first, first + size)
        labels = None if targets is None else target_rows(targets, range(first, first + size))
        batch = Batch((one[0][part],), labels=labels)
        sink.add(batch, reference=tuple(x[part] for x in one), simulated=tuple(x[part] for x in other))
        first += size
    assert first == len(one[0])
    return sink
