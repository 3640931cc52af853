"""Causes: findings whose repairs were tried and measured, and how sure that is."""

import math
from dataclasses import dataclass, field
from typing import Literal

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.causes.repair_traits import keeps_scheme
from qdiag.core.measures.measurement import OutputRecord, lowest_sqnr_db
from qdiag.core.measures.task import Interval, PairedCounts, TaskResult

Verdict = Literal["cause", "harmless", "undecided", "untested"]
TaskKind = Literal["top1", "agreement", "none"]
HarmVerdict = Literal["harmed", "healthy", "undecided"]


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
    def task_percent(self) -> float:
        """Top-1 accuracy, or agreement with the float network's top-1 where there are no labels; NaN without logits."""
        if self.task.top1 is not None:
            return self.task.top1.simulated_percent
        if self.task.agreement_count is not None and self.task.sample_count:
            return 100.0 * self.task.agreement_count / self.task.sample_count
        return math.nan


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one network has over another on the same samples; positive is better.

    Attributes:
        recovered_db: SQNR of the output that had lost most before. db_interval: 95 %, over samples.
        pairs: samples on which the repaired network (reference) and the unrepaired one (simulated) are right, or agree
            with the float network; None without logits.
    """

    recovered_db: float
    db_interval: Interval
    pairs: PairedCounts | None = None

    @property
    def recovered_pp(self) -> float:
        return self.pairs.drop_pp if self.pairs is not None else math.nan

    @property
    def pp_interval(self) -> Interval:
        """95 % interval, Bonett & Price; NaN without logits."""
        return self.pairs.drop_interval_pp if self.pairs is not None else Interval(math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class FloatCost:
    """What a repair does to the float network itself.

    Attributes:
        relative_delta: largest |change| of a float output over its largest |value|.
        pairs: samples that the float network before (reference) and after (simulated) gets right, or on which they
            agree; None without logits.
    """

    relative_delta: float
    pairs: PairedCounts | None = None


@dataclass(frozen=True, slots=True)
class Placebo:
    """The same repair, of the same size, where the finding is not.

    Attributes:
        over_placebo: what the repair has over the placebo, on the same samples.
    """

    sites: tuple[FindingSite, ...]
    recovery: Recovery
    over_placebo: Recovery


@dataclass(frozen=True, slots=True)
class Trial:
    """One repair, applied alone to one cause's sites, and measured.

    Attributes:
        repair: see `qdiag.core.causes.repair_traits`.
        layers: where it was applied.
        refused: why it was not; then `after` and `recovery` are None.
        float_cost: None for repairs that leave the float network as it is.
        placebo: None when none was measured; then `no_placebo` says why.
        settings: what makes the scheme so, as values of `--set`, for repairs that change the plan.
        costs: what it costs the user: scales to store, multiplications in float, ...
        keeps_scheme: the integer format stays as the user set it. None, as in results stored before trials said so,
            stands for what is known of the repair, and is replaced by that at once.
    """

    repair: str
    layers: tuple[str, ...]
    refused: str | None = None
    after: Score | None = None
    recovery: Recovery | None = None
    float_cost: FloatCost | None = None
    placebo: Placebo | None = None
    no_placebo: str | None = None
    settings: tuple[str, ...] = ()
    costs: tuple[Evidence, ...] = ()
    keeps_scheme: bool | None = None

    def __post_init__(self) -> None:
        if self.keeps_scheme is None:
            object.__setattr__(self, "keeps_scheme", keeps_scheme(self.repair))


@dataclass(frozen=True, slots=True)
class RankedCause:
    """One suspect: findings that point at the same places, and what its repairs gave back.

    Attributes:
        rank: from 1, by what the best repair that keeps the scheme gave back alone.
        code: of the most specific finding. sites: those of that finding which belong to this suspect.
        findings: all that point here, the naming one first.
        trials: repairs that keep the scheme, best first, then the ways around, best first, then refused ones.
        verdict: `cause` only when a repair recovered something beyond noise and beyond its placebo, in a network that
            is harmed. reason: one short fact.
    """

    rank: int
    code: str
    sites: tuple[FindingSite, ...]
    findings: tuple[Finding, ...]
    trials: tuple[Trial, ...]
    verdict: Verdict
    reason: str

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(site.layer for site in self.sites)


@dataclass(frozen=True, slots=True)
class Harm:
    """Whether quantization costs anything at all.

    Attributes:
        kind: `drop` of accuracy in points, `flips` of top-1 in percent, or output `sqnr` in dB.
        interval: 95 %; NaN where the value is an SQNR.
        limit: from where on it counts as harm.
    """

    kind: Literal["drop", "flips", "sqnr"]
    value: float
    interval: Interval
    limit: float
    verdict: HarmVerdict


@dataclass(frozen=True, slots=True)
class WaterfallStep:
    """One more repair on top of those before it.

    Attributes:
        code: of the suspect; empty for a repair of the whole network, which no finding asks for.
        gained: over the step before.
    """

    code: str
    repair: str
    layers: tuple[str, ...]
    after: Score
    gained: Recovery
    settings: tuple[str, ...] = ()


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
class Ranking:
    """Everything `qdiag rank` prints.

    Attributes:
        before: the quantized network as it is.
        findings: all of them, those without a repair too.
        causes: suspects in order of rank, harmless ones last.
        waterfall: repairs that keep the scheme, best first, each measured on top of the ones before.
        way_around: the best change of scheme, for the whole network or at a suspect's layers, measured alone; None
            without one that gives something back beyond noise and its placebo.
        pass_count: passes over the measured data; variant_count: networks measured in them.
    """

    task_kind: TaskKind
    harm: Harm
    before: Score
    findings: tuple[Finding, ...]
    causes: tuple[RankedCause, ...]
    waterfall: tuple[WaterfallStep, ...] = ()
    way_around: Trial | None = None
    pass_count: int = 0
    variant_count: int = 0
    notes: tuple[str, ...] = field(default=())
    ways_around: tuple[Trial, ...] = ()
    """Changes of scheme for the whole network, best first."""
    parts: tuple[PartScore, ...] = ()
    """What the weights and what the activations cost by themselves."""
    computed_count: int = 0
    """Operations on data that the counterfactuals ran."""
    reused_count: int = 0
    """Those whose result another network had already."""

    @property
    def claimed(self) -> tuple[RankedCause, ...]:
        return tuple(cause for cause in self.causes if cause.verdict == "cause")

    @property
    def repaired(self) -> Score:
        """After the last step of the waterfall."""
        return self.waterfall[-1].after if self.waterfall else self.before

    @property
    def remainder_pp(self) -> float:
        """Points that no repair here gives back: float minus repaired, of accuracy or of agreement; NaN without."""
        score = self.repaired
        if score.task.top1 is not None:
            return score.task.top1.drop_pp
        return 100.0 - score.task_percent
