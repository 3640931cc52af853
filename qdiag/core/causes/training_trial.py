"""Training as a repair: what it gave back where repairs without training left something, and what it cost."""

from dataclasses import dataclass
from typing import Literal

from qdiag.core.causes.score import GAIN_LIMIT_DB, FloatCost, Recovery, Score

TrainingMethod = Literal["qat", "refit_separable"]
NotTrained = Literal["not allowed", "nothing left", "no loss", "too slow", "no better", "refused"]


@dataclass(frozen=True, slots=True)
class TrainingTrial:
    """One training of the network as it was read, measured as any repair is.

    Attributes:
        method: `qat`, with its quantizers in place; `refit_separable`, the same after separable convolutions have
            taken their friendly form (arXiv 1803.08607).
        not_trained: why there is no trained network; None where there is one. `no loss`: none was found, or it is
            undecided. `no better`: no epoch was better than the network as it was read.
        detail: what a refusal said; empty otherwise.
        epochs: passes over the training samples. best: the epoch that was kept.
        sample_count: samples trained on; none of them was measured.
        epoch_s: seconds of one epoch, as expected before the first one. seconds: of the training, all epochs.
        after: the trained network in integers; None without one.
        recovery: over the network as it was read, on the same samples.
        over_repairs: over the figure that repairs without training reach, in the unit of its changes, or in dB where no
            figure judges; NaN without one.
        float_cost: what the new weights are to the float network.
        options: words of a command line that trains on the same samples.
    """

    method: TrainingMethod
    not_trained: NotTrained | None = None
    detail: str = ""
    epochs: int = 0
    best: int = 0
    sample_count: int = 0
    epoch_s: float = float("nan")
    seconds: float = 0.0
    after: Score | None = None
    recovery: Recovery | None = None
    over_repairs: float = float("nan")
    float_cost: FloatCost | None = None
    options: tuple[str, ...] = ()

    @property
    def helps(self) -> bool:
        """It gave something back beyond noise, and more than the repairs without training, by what is not small."""
        if self.recovery is None or self.after is None or not self.recovery.is_gain:
            return False
        judged = self.after.task.judged
        return self.over_repairs > (judged.small if judged is not None else GAIN_LIMIT_DB)
