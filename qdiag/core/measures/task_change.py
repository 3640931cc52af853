"""What changed in the task between two diagnoses."""

import math
from dataclasses import dataclass
from typing import Literal

from qdiag.core.measures.task import Criterion, Interval, PairedCounts

Change = Literal["better", "worse", "same", "unknown"]
PairedBy = Literal["samples", "counts", "intervals"]


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A figure of two networks, in its own unit.

    Attributes:
        interval: 95 %, of after - before; NaN where nothing says how sure the values are.
        paired_by: `samples`: outcome by outcome on the same samples; otherwise each network by itself, from its counts
            or from its interval, which makes the interval wider than it needs to be. why_unpaired: why not by samples.
        sample_count: of the pairs, or of the network after.
        pairs: samples right in the network before (reference) and after (simulated); None where samples are no
            successes, or without outcomes of samples.
    """

    before: float
    after: float
    interval: Interval
    paired_by: PairedBy
    why_unpaired: str = ""
    sample_count: int = 0
    pairs: PairedCounts | None = None
    higher_is_better: bool = True

    @property
    def change(self) -> float:
        """After - before, whichever is better; 0 between equal infinite values."""
        return difference(self.before, self.after)

    @property
    def verdict(self) -> Change:
        """`same` says that the samples show no difference beyond noise."""
        rises, falls = self.interval.low > 0.0, self.interval.high < 0.0
        if rises or falls:
            return "better" if rises == self.higher_is_better else "worse"
        return "unknown" if math.isnan(self.interval.low) else "same"


@dataclass(frozen=True, slots=True)
class FigureChange:
    """A figure that both diagnoses have.

    Attributes:
        quantized: of the quantized networks. float_network: of the float ones; None where these are what the quantized
            ones are held against.
        loss_before, loss_after: what each quantized network has lost, positive when it is worse than float.
    """

    criterion: Criterion
    quantized: ValueChange
    float_network: ValueChange | None = None
    loss_before: float = math.nan
    loss_after: float = math.nan


@dataclass(frozen=True, slots=True)
class OutputChange:
    """SQNR in dB of an output that both have."""

    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class TaskChange:
    """What the two quantized networks do, and the two float networks behind them.

    Attributes:
        figures: those that both have, the one by which both are judged first.
        outputs: SQNR of outputs that both have.
    """

    figures: tuple[FigureChange, ...] = ()
    outputs: tuple[OutputChange, ...] = ()

    @property
    def judged(self) -> FigureChange | None:
        """The figure that is spoken of first; None where the two have none in common."""
        return self.figures[0] if self.figures else None


def difference(before: float, after: float) -> float:
    """After - before; 0 between equal infinite values, NaN where either is not defined."""
    return 0.0 if before == after else after - before
