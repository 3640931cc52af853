"""What quantization does to the task: figures of both networks on the same samples, and the interval of the loss."""

import math
from dataclasses import dataclass
from typing import Literal

from qdiag.core.measures.outcomes import SampleOutcomes, unpack_bits, unpack_numbers

Z_95 = 1.959963984540054
"""Normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of an interval, in the unit of what it belongs to."""

    low: float
    high: float

    @property
    def turned(self) -> "Interval":
        """That of a gain, of which this is the loss."""
        return Interval(-self.high, -self.low)


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


UNDEFINED = Interval(math.nan, math.nan)
"""Of a figure without an interval."""

TaskKind = Literal["classify", "segment", "detect", "regress", "embed", "none"]
WHOLE_KINDS: tuple[TaskKind, ...] = ("classify", "segment")
"""Kinds whose outputs are logits: one vector, whose channels are not quantities of their own."""
TaskReason = Literal[
    "asked", "metric", "labels", "targets", "name", "softmax", "unequal_numbers", "no_sign", "no_output"
]
"""Why a task and an output were chosen: they were asked for; the user's metric decides; class numbers, or other
targets, fit the output; its name, or that of the layer behind it, says so; it ends in a softmax; a name says so, but
its numbers differ in size as quantities do; nothing says what it is; no output is a float tensor."""


@dataclass(frozen=True, slots=True)
class TaskChoice:
    """Which output a network is judged by, and why.

    Attributes:
        kind: `none` where the network is judged by the SQNR of its outputs.
        output: the judged output; empty for all of several.
        reason: see `TaskReason`. named_by: what spoke for it: the name of an output or of a layer, or the targets.
    """

    kind: TaskKind = "none"
    output: str = ""
    reason: TaskReason = "no_sign"
    named_by: str = ""


@dataclass(frozen=True, slots=True)
class Criterion:
    """A figure by which a network can be judged.

    Attributes:
        name: in the words of the field, `top-1`, `mIoU`, or that of the user's metric.
        unit: of a value. change_unit: of the difference of two values.
        limit: a loss beyond this is harm. small: a loss up to this may be the price of a repair, and a gain from it on
            is worth to be looked at. Both in `change_unit`, or as fractions of the float network's value.
        is_relative: whether they are such fractions.
        is_against_float: the targets are the float network's own answers, so that it has lost nothing by definition.
    """

    name: str
    unit: str = "%"
    change_unit: str = "pp"
    higher_is_better: bool = True
    limit: float = 1.0
    small: float = 1.0
    is_relative: bool = False
    is_against_float: bool = False

    @property
    def is_share(self) -> bool:
        """The value is a percentage, and differences are percentage points."""
        return self.unit == "%" and self.change_unit == "pp"

    @property
    def is_right_share(self) -> bool:
        """A share of right answers; an error rate, such as of words, is a share of wrong ones."""
        return self.is_share and self.higher_is_better

    @property
    def harm_unit(self) -> str:
        """Of a loss: answers that changed are a share of all answers rather than points of accuracy."""
        return "%" if self.is_share and self.is_against_float else self.change_unit


TOP_1 = Criterion("top-1")
AGREEMENT = Criterion("agreement", limit=5.0, is_against_float=True)
"""Healthy 8-bit networks change 1 to 4 % of their answers, nearly all of them close calls that were as often wrong
before; a drop of accuracy of one point is what users call healthy, and the usual limit of a gate."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One criterion on both networks, over the same samples.

    Attributes:
        reference: of the float network. simulated: of the quantized one.
        loss_interval: 95 %, of the loss; simulated_interval: of the quantized network's own value. NaN where neither
            samples nor groups of them have figures of their own.
        counts: where each sample is a success or none.
        outcomes: sample by sample; None where they were not kept, or samples have no figures of their own.
    """

    criterion: Criterion
    sample_count: int
    reference: float
    simulated: float
    loss_interval: Interval = UNDEFINED
    simulated_interval: Interval = UNDEFINED
    counts: PairedCounts | None = None
    outcomes: SampleOutcomes | None = None

    @property
    def loss(self) -> float:
        """What the quantized network has lost, in `change_unit`; negative when it is better."""
        return loss_between(self.criterion, reference=self.reference, simulated=self.simulated)

    @property
    def nan_counts(self) -> tuple[int, int]:
        """Samples without a value, in the float network and in the quantized one; 0 where outcomes were not kept."""
        if self.outcomes is None or self.outcomes.are_bits:
            return 0, 0
        texts = (self.outcomes.reference, self.outcomes.simulated)
        one, other = (unpack_numbers(text, self.outcomes.count) or () for text in texts)
        return sum(map(math.isnan, one)), sum(map(math.isnan, other))

    @property
    def limit(self) -> float:
        """Loss that is harm, in `change_unit`."""
        return self._absolute(self.criterion.limit)

    @property
    def small(self) -> float:
        return self._absolute(self.criterion.small)

    def _absolute(self, size: float) -> float:
        if not self.criterion.is_relative:
            return size
        return size * abs(self.reference) if not math.isinf(self.reference) else 0.0


def loss_between(criterion: Criterion, *, reference: float, simulated: float) -> float:
    """Positive when `simulated` is worse; equal values, infinite ones too, differ by nothing."""
    if reference == simulated:
        return 0.0
    return reference - simulated if criterion.higher_is_better else simulated - reference


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The task view.

    Attributes:
        sample_count: samples measured.
        figures: the one that the network is judged by first; none where it is judged by the SQNR of its outputs.
        choice: which output is judged, and why.
    """

    sample_count: int
    figures: tuple[Figure, ...] = ()
    choice: TaskChoice = TaskChoice()

    @property
    def judged(self) -> Figure | None:
        """The figure that decides about harm."""
        return self.figures[0] if self.figures else None

    @property
    def accuracy(self) -> Figure | None:
        """The first share of right answers."""
        found = (f for f in self.figures if f.criterion.is_right_share and not f.criterion.is_against_float)
        return next(found, None)

    @property
    def agreement(self) -> Figure | None:
        """The first share of answers that are those of the float network."""
        return next((f for f in self.figures if f.criterion.is_right_share and f.criterion.is_against_float), None)

    def figure(self, name: str) -> Figure | None:
        """The figure of that name."""
        return next((figure for figure in self.figures if figure.criterion.name == name), None)
