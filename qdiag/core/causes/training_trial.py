"""Training as a repair: what it recovered where repairs without training left something, and what it cost."""

from dataclasses import dataclass
from typing import Literal

from qdiag.core.causes.refit import RefitVariant
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
        planned: epochs over which the learning rate falls; fewer were made where the time did not suffice.
        sample_count: samples trained on; none of them was measured.
        epoch_s: seconds of one epoch, as expected before the first one. seconds: of the training, all epochs.
        after: the trained network in integers; None without one.
        recovery: over the network as it was read, on the same samples.
        over_repairs: over the network with all repairs of the sequence, on the same samples.
        float_cost: what the new weights are to the float network.
        options: words of a command line that trains on the same samples.
        variant, blocks: of `refit_separable`: how separable convolutions were rewritten, and which, each by the module
            path of its depthwise convolution.
    """

    method: TrainingMethod
    not_trained: NotTrained | None = None
    detail: str = ""
    epochs: int = 0
    best: int = 0
    planned: int = 0
    sample_count: int = 0
    epoch_s: float = float("nan")
    seconds: float = 0.0
    after: Score | None = None
    recovery: Recovery | None = None
    over_repairs: Recovery | None = None
    float_cost: FloatCost | None = None
    options: tuple[str, ...] = ()
    variant: RefitVariant | None = None
    blocks: tuple[str, ...] = ()

    @property
    def helps(self) -> bool:
        """Better beyond noise than the network as it was read, and than the repairs, by more than what is small."""
        if self.recovery is None or self.over_repairs is None or self.after is None:
            return False
        judged = self.after.task.judged
        is_more = self.beside_repairs > (judged.small if judged is not None else GAIN_LIMIT_DB)
        return is_more and _is_beyond_noise(self.recovery) and _is_beyond_noise(self.over_repairs)

    @property
    def beside_repairs(self) -> float:
        """What it has over the repairs without training, by what judges, or in dB; NaN where that is not known."""
        over = self.over_repairs
        if over is None:
            return float("nan")
        return over.recovered_task if over.has_task else over.recovered_db


def _is_beyond_noise(found: Recovery) -> bool:
    """By the figure of the task alone where there is one: a trained network may give right answers by other outputs
    than those of the float network as it was read, to which decibels compare it."""
    return found.task_interval.low > 0.0 if found.has_task else found.is_gain
