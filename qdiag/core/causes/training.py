"""The result of `qdiag qat`: a training with the quantizers in place, by epochs, and what it did. Plain numbers."""

import math
from dataclasses import dataclass, field

from qdiag.core.causes.refit import SeparableRefit
from qdiag.core.causes.repair import FloatChange
from qdiag.core.measures.measurement import SCHEMA_VERSION, Measurement, ModelInfo, StageTime
from qdiag.core.measures.task import TaskResult


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """The network after one epoch; epoch 0 is before the first.

    Attributes:
        step: updates so far. learning_rate: of the last one.
        is_quantized: the quantizers are in place; not so during the delay.
        training_loss: mean over the samples of the epoch, each at the time of its step; NaN for epoch 0.
        loss: of the quantized network on the samples that judge. float_loss: of the float network that training began
            with, on the same samples.
        task: figures of both on these samples.
        seconds: of the epoch.
    """

    epoch: int
    step: int
    learning_rate: float
    is_quantized: bool
    training_loss: float
    loss: float
    float_loss: float
    task: TaskResult
    seconds: float

    def is_better_than(self, other: "EpochRecord") -> bool:
        """By the figure that judges, and by the loss where there is none or it is equal."""
        own, theirs = self.task.judged, other.task.judged
        if own is not None and theirs is not None and own.simulated != theirs.simulated:
            if math.isnan(own.simulated) or math.isnan(theirs.simulated):
                return math.isnan(theirs.simulated)
            return (own.simulated > theirs.simulated) == own.criterion.higher_is_better
        return self.loss < other.loss or (math.isnan(other.loss) and not math.isnan(self.loss))


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """A whole training.

    Attributes:
        loss: what was trained towards, in words of the field.
        epochs: from epoch 0 on. best: the epoch whose network was kept.
        sample_count: samples trained on. batch_size: of one step.
        moved: names of the tensors with new values.
        layers: glob patterns of the layers that were allowed to move; all when empty.
        is_resumed: a part of it was done by a run that was stopped.
        process_count: processes that divided every batch.
    """

    loss: str
    epochs: tuple[EpochRecord, ...]
    best: int
    sample_count: int
    batch_size: int
    moved: tuple[str, ...]
    layers: tuple[str, ...] = ()
    is_resumed: bool = False
    process_count: int = 1

    @property
    def seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.epochs)


@dataclass(frozen=True, slots=True)
class ModelTraining:
    """Everything `qdiag qat` prints.

    Attributes:
        before, after: the quantized network; `after` under the scheme with the ranges of the training. None where no
            epoch was better than the network as it was read.
        float_change: what the new weights are to the float network; None likewise.
        refit: what was rewritten before the training; `before` is then of the rewritten network, and the network as it
            was read is in here.
        written_to: the trained file. scheme_written_to: the scheme that belongs to it. None when nothing was written.
    """

    model: ModelInfo
    training: TrainingRecord
    before: Measurement
    after: Measurement | None = None
    float_change: FloatChange | None = None
    refit: SeparableRefit | None = None
    written_to: str | None = None
    scheme_written_to: str | None = None
    notes: tuple[str, ...] = ()
    stages: tuple[StageTime, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def exit_code(self) -> int:
        """1 where training gained nothing: nothing was written."""
        return 0 if self.after is not None else 1
