"""Causes: findings whose repairs were tried and measured, and how sure that is."""

import math
from dataclasses import dataclass, field
from typing import Literal

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.causes.repair_traits import keeps_scheme
from qdiag.core.causes.score import FloatCost, PartScore, Recovery, Score
from qdiag.core.measures.task import Criterion, Figure, Interval, loss_between

Verdict = Literal["cause", "fused", "harmless", "undecided", "untested"]
HarmVerdict = Literal["harmed", "healthy", "undecided"]
HarmState = Literal["harmed", "healthy", "unsure"]


@dataclass(frozen=True, slots=True)
class Placebo:
    """The same repair, of the same size, where the finding is not.

    Attributes:
        over_placebo: what the repair has over the placebo, on the same samples. sample_count: where these are not all.
    """

    sites: tuple[FindingSite, ...]
    recovery: Recovery
    over_placebo: Recovery
    sample_count: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One repair, applied alone to one cause's sites, and measured.

    Attributes:
        repair: see `qdiag.core.causes.repair_traits`. layers: where it was applied.
        refused: why it was not; then `after` and `recovery` are None.
        float_cost: None for repairs that leave the float network as it is, in a checkpoint too.
        placebo: None when none was measured; then `no_placebo` says why.
        settings: what makes the scheme so, as values of `--set`, for repairs that change the plan.
        costs: what it costs the user: scales to store, multiplications in float, ...
        keeps_scheme: the integer format stays as the user set it. None, as in results stored before trials said so,
            stands for what is known of the repair, and is replaced by that at once.
        first: repairs that were made before this one; `recovery` is over the network with these.
        own: what the suspect's own layers recover with all that they compute in float, for changes of scheme that
            gain and reach other layers too. over_others: what the trial has over the same change at those alone, where
            `own` is no gain, and they leave harm. None otherwise.
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
    first: tuple[str, ...] = ()
    own: Recovery | None = None
    over_others: Recovery | None = None

    def __post_init__(self) -> None:
        if self.keeps_scheme is None:
            object.__setattr__(self, "keeps_scheme", keeps_scheme(self.repair))

    @property
    def helps(self) -> bool:
        """It recovered something beyond noise and its placebo, in the network asked about and not another one."""
        if self.first or self.recovery is None or not self.recovery.is_gain:
            return False
        return self.placebo is None or self.placebo.over_placebo.is_gain

    @property
    def is_claim(self) -> bool:
        """It helps, and proves something about the suspect: what other layers alone recover does not."""
        return self.helps and not self.is_of_others

    @property
    def is_of_others(self) -> bool:
        """What it recovers comes from the other layers that it reaches: the suspect's own recover nothing."""
        return self.own is not None and not self.own.is_gain

    @property
    def is_on_top(self) -> bool:
        """Beyond noise it has more than the same change at the other layers alone, which leave harm."""
        return self.over_others is not None and self.over_others.is_gain

    @property
    def credited(self) -> Recovery | None:
        """What counts for the suspect: of a change that reaches other layers, no more than its own layers recover."""
        if self.own is None or self.recovery is None:
            return self.recovery
        if self.is_of_others:
            return self.over_others if self.over_others is not None and self.is_on_top else self.own
        own, whole = (r.recovered_task if r.has_task else r.recovered_db for r in (self.own, self.recovery))
        return self.own if own < whole else self.recovery


@dataclass(frozen=True, slots=True)
class RankedCause:
    """One suspect: findings that point at the same places, and what its repairs recovered.

    Attributes:
        rank: from 1, by what the best repair that keeps the scheme recovered alone.
        code: of the most specific finding. sites: those of that finding which belong to this suspect.
        findings: all that point here, the naming one first.
        trials: repairs that keep the scheme, best first, then the changes of scheme, best first, then refused ones.
        verdict: `cause` only when a repair recovered something beyond noise and beyond its placebo, in a network that
            is harmed; `fused` where that is so once parallel branches are fused. reason: one short fact.
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
        criterion: of which `value` is the loss; None where the value is the SQNR of the output that lost most, in dB.
        interval: 95 %; NaN where the value has none.
        limit: from where on it counts as harm.
    """

    criterion: Criterion | None
    value: float
    interval: Interval
    limit: float
    verdict: HarmVerdict

    @classmethod
    def of_figure(cls, figure: Figure) -> "Harm":
        """Of the figure by which the network is judged: beyond its limit, and beyond noise.

        A figure that is NaN or infinite counts as harm: a network that answers NaN has lost everything.
        """
        verdict: HarmVerdict = "healthy"
        if math.isnan(figure.reference):
            verdict = "undecided"  # of the float network: nothing can be lost of what it has not
        elif not figure.loss <= figure.limit:
            # a loss against the float network's own answers is never negative: there the whole interval lies beyond
            bound = figure.limit if figure.criterion.is_against_float else 0.0
            is_sure = not math.isfinite(figure.loss) or figure.loss_interval.low > bound
            verdict = "harmed" if is_sure else "undecided"
        return cls(figure.criterion, figure.loss, figure.loss_interval, figure.limit, verdict)

    @property
    def unit(self) -> str:
        return self.criterion.harm_unit if self.criterion is not None else "dB"

    @property
    def state(self) -> HarmState:
        """`unsure` also where nothing was found, and the interval does not exclude a loss beyond the limit."""
        if self.verdict == "harmed":
            return "harmed"
        return "healthy" if self.verdict == "healthy" and not self.interval.high > self.limit else "unsure"


@dataclass(frozen=True, slots=True)
class WaterfallStep:
    """One more repair on top of those before it.

    Attributes:
        code: of the suspect; empty for a repair of the whole network, which no finding asks for.
        gained: over the step before.
        float_cost: what this step and those before it do to the float network that a checkpoint with them holds; None
            where it stays as it is.
    """

    code: str
    repair: str
    layers: tuple[str, ...]
    after: Score
    gained: Recovery
    settings: tuple[str, ...] = ()
    float_cost: FloatCost | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Everything `qdiag rank` prints.

    Attributes:
        before: the quantized network as it is.
        findings: all of them, those without a repair too.
        causes: suspects in order of rank, harmless ones last.
        waterfall: repairs that keep the scheme, best first, each measured on top of the ones before.
        way_around: the best change of scheme, for the whole network or at a suspect's layers, measured alone; None
            without one that recovers something beyond noise and its placebo.
        pass_count: passes over the measured data; variant_count: networks measured in them.
    """

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
    def criterion(self) -> Criterion | None:
        """What the network is judged by; None for the SQNR of its outputs."""
        return self.before.task.judged.criterion if self.before.task.judged is not None else None

    @property
    def regained(self) -> float:
        """What the whole waterfall recovers, positive when better: by what judges, or in dB of output SQNR."""
        before, after, criterion = self.before, self.repaired, self.criterion
        if criterion is None:
            return after.output_sqnr_db - before.output_sqnr_db if self.waterfall else 0.0
        return loss_between(criterion, reference=after.task_value, simulated=before.task_value)

    @property
    def remainder(self) -> float:
        """What no repair here recovers: the loss of the repaired network; NaN without a figure of the task."""
        judged = self.repaired.task.judged
        return judged.loss if judged is not None else math.nan
