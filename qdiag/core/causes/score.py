"""What one network is worth beside another: its score, and what it has recovered or lost."""

import math
from dataclasses import dataclass
from typing import Literal

from qdiag.core.measures.measurement import OutputRecord, lowest_sqnr_db
from qdiag.core.measures.task import UNDEFINED, Interval, PairedCounts, TaskResult

GAIN_LIMIT_DB = 1.0
"""A repair that recovers less than this at the output has not removed a cause."""


@dataclass(frozen=True, slots=True)
class Score:
    """One quantized network (simulated) against the float one (reference), on the measured samples."""

    outputs: tuple[OutputRecord, ...]
    task: TaskResult

    @property
    def output_sqnr_db(self) -> float:
        """Of the output that lost most, at its weakest part where parts count; NaN without a float output."""
        return lowest_sqnr_db(self.outputs, self.task)

    @property
    def is_silent(self) -> bool:
        """The float network gave numbers, and all of them are zero: without a signal there is nothing to lose."""
        errors = [output.error for output in self.outputs]
        seen = sum(error.count for error in errors)
        return seen > 0 and not any(error.reference_sq_sum or error.reference_nonfinite_count for error in errors)

    @property
    def task_value(self) -> float:
        """The figure by which the network is judged; NaN where that is the SQNR of its outputs."""
        return self.task.judged.simulated if self.task.judged is not None else math.nan


@dataclass(frozen=True, slots=True)
class PartScore:
    """Only the weights quantized, or only the activations.

    Attributes:
        before: with the weights as they are. after: with all steps of the waterfall; None without steps.
    """

    part: Literal["weights", "activations"]
    before: Score
    after: Score | None = None


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one network has over another on the same samples; positive is better.

    Attributes:
        recovered_db: SQNR of the output that had lost most before. db_interval: 95 %, over samples.
        recovered_task: the figure by which the network is judged, in the unit of its changes; NaN without one.
            task_interval: 95 %, over samples.
        pairs: where samples are successes or none: those of the repaired network (reference) and of the unrepaired one
            (simulated).
    """

    recovered_db: float
    db_interval: Interval
    recovered_task: float = math.nan
    task_interval: Interval = UNDEFINED
    pairs: PairedCounts | None = None

    @property
    def has_task(self) -> bool:
        """The network is judged by a figure of its task."""
        return not math.isnan(self.recovered_task)

    @property
    def is_gain(self) -> bool:
        """Better beyond noise: by the task and in dB where a task judges, in dB at the output otherwise.

        The task alone does not do: among answers that are noise anyway, any change makes some right by chance, and the
        others that become wrong by chance are fewer when few are right at all.
        """
        if self.has_task:
            return self.task_interval.low > 0.0 and not self.db_interval.low <= 0.0
        return self.recovered_db >= GAIN_LIMIT_DB and self.db_interval.low > 0.0


FLOAT_DELTA_LIMIT = 0.05
"""What a repair may cost a float network that is judged by its outputs' SQNR: largest |change| of an output over its
largest |value|. Where a figure of the task judges, that figure says what is small."""


@dataclass(frozen=True, slots=True)
class FloatCost:
    """What a repair does to the float network itself, beside the float network without any repair.

    Attributes:
        relative_delta: largest |change| of a float output over its largest |value|.
        loss: of the figure by which the network is judged; NaN without one. unit: of the loss.
        small: a loss up to this is borne.
        is_of_checkpoint: of the checkpoint that holds the repair; in the trial itself the plan held it, and the float
            network stayed as it was.
        sample_count: samples that settled it; None for all of them.
    """

    relative_delta: float
    loss: float = math.nan
    unit: str = ""
    small: float = math.nan
    is_of_checkpoint: bool = False
    sample_count: int | None = None

    @property
    def is_too_much(self) -> bool:
        """The figure that judges loses more than is small; without one, the output moves too far."""
        return not self.relative_delta <= FLOAT_DELTA_LIMIT if math.isnan(self.loss) else not self.loss <= self.small
