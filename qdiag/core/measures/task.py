"""What quantization does to the task: paired counts over samples, and the interval of the drop."""

import math
from dataclasses import dataclass

from qdiag.core.measures.outcomes import SampleOutcomes, unpack_bits

Z_95 = 1.959963984540054
"""Normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of an interval, in the unit of what it belongs to."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedCounts:
    """How often each network was right on the same samples."""

    both: int = 0
    reference_only: int = 0
    simulated_only: int = 0
    neither: int = 0

    @property
    def sample_count(self) -> int:
        return self.both + self.reference_only + self.simulated_only + self.neither

    @property
    def reference_percent(self) -> float:
        return 100.0 * (self.both + self.reference_only) / self.sample_count if self.sample_count else math.nan

    @property
    def simulated_percent(self) -> float:
        return 100.0 * (self.both + self.simulated_only) / self.sample_count if self.sample_count else math.nan

    @property
    def drop_pp(self) -> float:
        """Percentage points lost; negative when the simulated network is better."""
        return self.reference_percent - self.simulated_percent

    @property
    def drop_interval_pp(self) -> Interval:
        """95 % interval of the drop: Laplace-adjusted Wald interval for paired proportions.

        Only samples on which the two networks disagree carry noise. Source: Bonett & Price, Journal of Educational and
        Behavioral Statistics 37(4), 2012.
        """
        n = self.sample_count + 2
        lost = (self.reference_only + 1) / n
        won = (self.simulated_only + 1) / n
        centre = lost - won
        margin = Z_95 * math.sqrt((lost + won - centre**2) / n)
        return Interval(100.0 * max(-1.0, centre - margin), 100.0 * min(1.0, centre + margin))

    @classmethod
    def of_bits(cls, *, reference: str, simulated: str, count: int) -> "PairedCounts | None":
        """Counts of two columns of `SampleOutcomes` of the same samples; None where one is missing or damaged."""
        first, second = unpack_bits(reference, count), unpack_bits(simulated, count)
        if not count or first is None or second is None:
            return None
        both = (first & second).bit_count()
        return cls(both, first.bit_count() - both, second.bit_count() - both, count - (first | second).bit_count())

    def __add__(self, other: "PairedCounts") -> "PairedCounts":
        return PairedCounts(
            self.both + other.both,
            self.reference_only + other.reference_only,
            self.simulated_only + other.simulated_only,
            self.neither + other.neither,
        )


@dataclass(frozen=True, slots=True)
class MetricScore:
    """A user's metric on both networks. The interval is of reference - simulated, where scores came per sample."""

    name: str
    reference: float
    simulated: float
    drop_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The task view.

    Attributes:
        sample_count: samples measured.
        agreement_count: samples on which both networks have the same top-1; None when no output looks like logits.
        top1, top5: with labels only; top5 only with more than five classes.
        metrics: what `--metric` computed.
        outcomes: sample by sample; None where they were not kept.
    """

    sample_count: int
    agreement_count: int | None = None
    top1: PairedCounts | None = None
    top5: PairedCounts | None = None
    metrics: tuple[MetricScore, ...] = ()
    outcomes: SampleOutcomes | None = None
