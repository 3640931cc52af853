"""The training itself: epochs of updates, each followed by a measurement of the network as it would be deployed."""

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from qdiag.batches import Batch, Batches
from qdiag.core.causes.training import EpochRecord, TrainingRecord
from qdiag.core.scheme import QuantScheme
from qdiag.errors import CalibrationError, ConfigError, DivergedError, SimulationError
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme, with_tensors
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import REFERENCE, Lane, pick
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.simulate.task.tasks import TaskSink
from qdiag.train.loss_sums import LossSums
from qdiag.train.losses import TrainingLoss
from qdiag.train.network.graph import Phase, TrainingGraph
from qdiag.train.processes import ONE, Processes
from qdiag.train.samples import shuffled, step_count
from qdiag.train.saved_state import SavedState, StateFile
from qdiag.train.settings import TrainingSettings
from qdiag.train.updates import Updates


@dataclass(frozen=True)
class Trained:
    """What came out of a training.

    Attributes:
        case: the network of the best epoch, under the scheme that goes with it.
        changes: new values by name in the original model. scheme: with the ranges that belong to them.
    """

    case: Case
    changes: dict[str, Tensor]
    scheme: QuantScheme
    record: TrainingRecord


@dataclass
class Training:
    """One training of a case, which is left as it was.

    Attributes:
        samples: what is trained on. judges: what every epoch is measured on, and the best one chosen by.
        moving: names of the tensors that may change, see `moving_names`.
        state: where it is kept after each epoch; None keeps it nowhere.
        processes: those that train together. All judge, and what the first one found counts.
        until: of one process, the time of `time.perf_counter` beyond which no epoch but the first goes.
        stage: of the run, which the training is; None where it is a part of another one.
    """

    session: Session
    case: Case
    settings: TrainingSettings
    loss: TrainingLoss
    samples: Batches
    judges: Batches
    moving: Collection[str]
    state: StateFile | None = None
    processes: Processes = ONE
    until: float = math.inf
    stage: str | None = None
    _epochs: list[EpochRecord] = field(default_factory=list)
    _best: dict[str, Tensor] = field(default_factory=dict)
    _resumed_count: int = 0

    def __post_init__(self) -> None:
        self._size = update_size(self.case, self.settings, self.processes)
        if self.processes.count > 1 and self.samples.sample_count < self._size and self.case.program.batch_size:
            raise ConfigError(
                f"there are {self.samples.sample_count} samples to train on, and an update takes {self._size}",
                hint="use fewer processes",
            )
        self._steps = step_count(self.samples, self._size)
        self._graph = TrainingGraph(self.case, self.settings, self.moving, self.processes)
        self._updates = Updates(self._graph, self.settings, self.settings.epochs * self._steps, self.processes)
        self._float = LaneRunner([Lane(self.case.origin)])

    def run(self) -> Trained:
        """All epochs that are not done yet.

        Raises:
            DivergedError: the loss is not finite. ConfigError: the state on disk is of another training.
            WriteError: the state cannot be written.
        """
        is_resumed = self._resume()
        self.processes.equalize(self._graph.state().values())
        for epoch in range(len(self._epochs), self.settings.epochs + 1):
            started = time.perf_counter()
            if epoch > 1 and started + self._epochs[-1].seconds > self.until:
                break
            training_loss = self._train(epoch) if epoch else math.nan
            try:
                self._judge(epoch, training_loss, started)
            except CalibrationError as error:
                if not epoch:
                    raise
                raise _diverged(f"{error.at}: {error.message}", epoch * self._steps) from error
            if epoch and self.state is not None and self.processes.is_first:
                self.state.write(self._saved())
        with torch.no_grad():
            _restore(self._graph.state(), self._best)
        changes = self._graph.changes()
        record = TrainingRecord(
            loss=self.loss.name,
            epochs=tuple(self._epochs),
            best=best_of(self._epochs),
            sample_count=self.samples.sample_count,
            batch_size=self._size,
            moved=tuple(changes),
            is_resumed=is_resumed,
            process_count=self.processes.count,
        )
        return Trained(self._deployed(), changes, self._graph.scheme(), record)

    def _train(self, epoch: int) -> float:
        """One epoch; the mean loss over its samples."""
        settings, sum_of_losses, count = self.settings, torch.zeros((), dtype=torch.float64), 0
        freezes = settings.freeze_bn_after is not None and epoch > settings.freeze_bn_after
        stage = f"train, epoch {epoch} of {settings.epochs}{self._so_far()}"
        self.session.progress.start(stage, self._steps * self._size)
        batches = shuffled(self.samples, self._size, _seed(self.session.seed, epoch))
        for step, batch in enumerate(batches, (epoch - 1) * self._steps):
            is_quantized = step >= settings.quant_delay
            phase = Phase(is_quantized, uses_batch=not freezes, follows=True, draw=step)
            part, share = self.processes.part(batch)
            try:
                loss = self._loss_of(part, phase) * share
            except CalibrationError as error:
                raise _diverged(f"{error.at}: {error.message}", step) from error
            whole = self.processes.total(loss.detach())
            if not bool(torch.isfinite(whole)):
                raise _diverged(f"the loss is {float(whole)}", step)
            self._updates.update(loss, step)
            sum_of_losses += whole.double().cpu() * batch.sample_count
            count += batch.sample_count
            self.session.progress.advance(batch.sample_count)
        self.session.progress.finish()
        return float(sum_of_losses) / count if count else math.nan

    def _loss_of(self, batch: Batch, phase: Phase) -> Tensor:
        with torch.enable_grad():
            outputs = self._graph.run(batch, phase)
            teacher = pick(self._float.run_batch(batch), REFERENCE) if self.loss.needs_float else ()
            loss = self.loss.of(outputs, batch, teacher)
        if not loss.requires_grad:
            raise SimulationError(
                "no gradient reaches any parameter that may move", hint="allow other `layers`, or another loss"
            )
        return loss

    def _so_far(self) -> str:
        """Loss and figure of both networks after the last epoch, for the progress."""
        last = self._epochs[-1]
        words, judged = f"loss {last.loss:.3g}, float {last.float_loss:.3g}", last.task.judged
        if judged is not None:
            words += f"; {judged.criterion.name} {judged.simulated:.3g}, float {judged.reference:.3g}"
        return f" ({words})"

    def _judge(self, epoch: int, training_loss: float, started: float) -> None:
        """Measures the network as the simulator has it, and keeps it if it is the best."""
        case = self._deployed()
        losses, task = LossSums(self.loss), TaskSink(case.tasks)
        runner = LaneRunner([Lane(case.origin), Lane(case.network, case.plan)])
        stage = f"measure, epoch {epoch} of {self.settings.epochs}"
        run_batches(runner, self.judges, self.session.progress, stage=stage, sinks={1: [task, losses]})
        step = epoch * self._steps
        record = EpochRecord(
            epoch=epoch,
            step=step,
            learning_rate=self._updates.learning_rate(max(step - 1, 0)),
            is_quantized=epoch > 0 and step > self.settings.quant_delay,
            training_loss=training_loss,
            loss=losses.simulated / max(losses.count, 1),
            float_loss=losses.reference / max(losses.count, 1),
            task=task.result(),
            seconds=time.perf_counter() - started,
        )
        self._epochs.append(self.processes.of_first(record))
        if self.stage is not None and epoch:
            seconds = [own.seconds for own in self._epochs[self._resumed_count :]]
            self.session.expect({self.stage: sum(seconds) + (self.settings.epochs - epoch) * seconds[-1]})
        if best_of(self._epochs) == epoch:
            self._best = _copies(self._graph.state())

    def _deployed(self) -> Case:
        """The case with tensors and ranges as they are; nothing is observed anew, since all ranges are given."""
        case = with_tensors(self.session, self.case, self._graph.changes(), recalibrate=False)
        return with_scheme(self.session, case, self._graph.scheme())

    def _saved(self) -> SavedState:
        optimizer = self._updates.optimizer.state_dict()
        return SavedState(_copies(self._graph.state()), self._best, optimizer, tuple(self._epochs))

    def _resume(self) -> bool:
        is_reader = self.state is not None and self.processes.is_first
        found = self.processes.of_first(self.state.read() if is_reader and self.state is not None else None)
        if found is None:
            return False
        with torch.no_grad():
            _restore(self._graph.state(), found.tensors)
        self._updates.optimizer.load_state_dict(found.optimizer)
        self._best, self._epochs = dict(found.best), list(found.epochs)
        self._resumed_count = len(self._epochs)
        return True


def update_size(case: Case, settings: TrainingSettings, processes: Processes) -> int:
    """Samples of one update: as the settings say, or, of a graph for one batch size, as many in each process."""
    fixed = case.program.batch_size
    return settings.batch_size if fixed is None else fixed * processes.count


def best_of(epochs: Sequence[EpochRecord]) -> int:
    """Index of the best epoch, the first of equals."""
    best = 0
    for index, record in enumerate(epochs):
        if record.is_better_than(epochs[best]):
            best = index
    return best


def _diverged(what: str, step: int) -> DivergedError:
    return DivergedError(f"the training diverged: {what} after {step} steps", hint="use a smaller `learning_rate`")


def _seed(seed: int, epoch: int) -> int:
    """Another one for every epoch, and for every seed."""
    return (seed << 20) + epoch


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone().cpu() for name, value in tensors.items()}


def _restore(tensors: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        tensors[name].copy_(value)
