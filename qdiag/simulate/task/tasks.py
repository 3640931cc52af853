"""What one network is judged by: its task, further figures beside it, and what both networks collected."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from qdiag.batches import Batch
from qdiag.core.measures.task import WHOLE_KINDS, TaskChoice, TaskResult
from qdiag.distributed.collector import Collector
from qdiag.errors import ConfigError, TargetError
from qdiag.simulate.task.base import Table, Tally, Task
from qdiag.simulate.task.classes import Logits, TopK


@dataclass(frozen=True)
class Tasks:
    """The criteria of one run.

    Attributes:
        criteria: the one that judges first; none where the network is judged by the SQNR of its outputs.
        choice: which output is judged, and why.
        logits: where the logits of a classifier are; None for other networks.
        output: index of the judged output; None for all of them.
    """

    criteria: tuple[Task, ...] = ()
    choice: TaskChoice = field(default_factory=TaskChoice)
    logits: Logits | None = None
    output: int | None = None

    @property
    def judged(self) -> Task | None:
        return self.criteria[0] if self.criteria else None

    @property
    def key(self) -> Hashable | None:
        """Tells runs apart whose figures differ; None where the user's own code makes one of them."""
        keys = tuple(task.key for task in self.criteria)
        return None if None in keys else (keys, self.output, self.choice)

    @property
    def whole(self) -> int | None:
        """An output that is one thing, and has no parts to be judged apart: logits of classes."""
        return self.output if self.choice.kind in WHOLE_KINDS else None

    @property
    def is_labelled(self) -> bool:
        """The answers of a classifier are held against labels."""
        return self.logits is not None and any(isinstance(task, TopK) for task in self.criteria)

    def check_divisible(self) -> None:
        """Whether what parts of the samples give can be put together.

        Raises:
            ConfigError: a criterion is computed by an object that has to see all samples.
        """
        for task in self.criteria:
            if not isinstance(task.tally(), Collector):
                raise ConfigError(
                    "a metric that is an object sees all samples, which several processes divide",
                    at=task.criterion.name,
                    hint="start qdiag without torchrun, or give a function of outputs and targets",
                )

    def logits_of(self, outputs: tuple[Any, ...]) -> Tensor | None:
        """(N, classes) of a classifier; None for other networks."""
        return self.logits.of(outputs) if self.logits is not None else None


class ReferenceTallies(Collector):
    """What the float network collected, once for all that are compared with it in one pass."""

    carried = ("sample_count",)

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self.tallies: list[Tally] = [task.tally() for task in tasks.criteria]
        self.sample_count = 0
        self._batch_count = self._before = 0

    def begins_at(self, *, batch: int, sample: int) -> None:
        """See `Collector`."""
        del batch
        self._before = sample

    @property
    def fits_threads(self) -> bool:
        """See `Collector`; not the user's own code."""
        return self._tasks.key is not None

    def collectors(self) -> list[Collector]:
        """See `Collector`."""
        return [self, *_collecting(self.tallies)]

    def merge(self, later: "ReferenceTallies") -> None:
        """See `Collector`."""
        self.sample_count += later.sample_count

    def add(self, number: int, batch: Batch, reference: tuple[Any, ...]) -> None:
        """Adds batch `number`, unless another network brought it already."""
        if number < self._batch_count:
            return
        self._batch_count += 1
        for tally in self.tallies:
            _add(tally, batch, reference, reference, self._before + self.sample_count)
        self.sample_count += batch.sample_count


class TaskSink(Collector):
    """Collects the answers of one network beside the float network's.

    Args:
        reference: shared by all that run beside the same float network in one pass; a collector of its own.
    """

    def __init__(self, tasks: Tasks, reference: ReferenceTallies | None = None) -> None:
        self._tasks, self._reference = tasks, reference or ReferenceTallies(tasks)
        self._tallies = [task.tally() for task in tasks.criteria]
        self._batch_count = self._sample_count = 0

    def begins_at(self, *, batch: int, sample: int) -> None:
        """See `Collector`."""
        del batch
        self._sample_count = sample

    @property
    def fits_threads(self) -> bool:
        """See `Collector`; not the user's own code."""
        return self._tasks.key is not None

    def collectors(self) -> list[Collector]:
        """See `Collector`."""
        return [self, *_collecting(self._tallies)]

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        """Adds the outputs of one batch."""
        self._reference.add(self._batch_count, batch, reference)
        self._batch_count += 1
        for tally in self._tallies:
            _add(tally, batch, simulated, reference, self._sample_count)
        self._sample_count += batch.sample_count

    def tables(self) -> tuple[Table, Table] | None:
        """Of the criterion that judges, the float network's first; None without one."""
        return (self._reference.tallies[0].table(), self._tallies[0].table()) if self._tallies else None

    def result(self) -> TaskResult:
        """All figures over what was added."""
        pairs = zip(self._tasks.criteria, self._reference.tallies, self._tallies, strict=True)
        figures = tuple(task.figure(reference=r.table(), simulated=s.table()) for task, r, s in pairs)
        return TaskResult(self._reference.sample_count, figures, self._tasks.choice)


def _collecting(tallies: Sequence[Tally]) -> list[Collector]:
    """The tallies; `check_divisible` has asked whether they can be put together."""
    return [tally for tally in tallies if isinstance(tally, Collector)]


def _add(tally: Tally, batch: Batch, outputs: tuple[Any, ...], reference: tuple[Any, ...], samples_before: int) -> None:
    """Adds a batch; an error knows where it stands among all samples."""
    try:
        tally.add(batch, outputs, reference)
    except TargetError as error:
        error.sample += samples_before
        raise
    except ConfigError as error:
        last = samples_before + batch.sample_count - 1
        where = f"at samples {samples_before} to {last}" if last > samples_before else f"at sample {last}"
        raise ConfigError(f"{error.message}, {where}", at=error.at, hint=error.hint) from error
