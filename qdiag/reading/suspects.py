"""Suspects, their places and the repairs that were tried, as rows of text that every surface lays out."""

from dataclasses import dataclass

from qdiag.core.causes.findings import Finding, FindingSite
from qdiag.core.causes.ranking import RankedCause, Ranking, Trial
from qdiag.core.causes.score import FLOAT_DELTA_LIMIT
from qdiag.reading.amount import Amount, amount_of, decibels_of
from qdiag.reading.layer_names import counted_places
from qdiag.reading.told import told_trial
from qdiag.reading.words.bn import channel_list
from qdiag.reading.words.causes import (
    VERDICT_WORDS,
    cause_line,
    cause_title,
    placebo_samples,
    score_words,
    trial_title,
)
from qdiag.reading.words.evidence import evidence_words
from qdiag.reading.words.numbers import UNKNOWN, count_noun
from qdiag.reading.words.task.afterwards import still_words
from qdiag.reading.words.task.figures import trial_criterion
from qdiag.reading.words.task.float_cost import float_words
from qdiag.reading.words.task.places import lost_most_words, same_place_words
from qdiag.reading.words.trials.own_layers import credited_words, own_words

_KEPT, _CHANGED = "kept", "changed"
_NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One repair, tried alone.

    Attributes:
        scheme: `kept` or `changed`. where: `7 layers`.
        recovers: by the figure that judges; None where nothing was measured. decibels: the same at the output that had
            lost most, where a figure of the task judges. at: which output that is; empty where there is only one.
        own: what of it is the suspect's own; empty where that is nearly all.
        placebo: of the same repair elsewhere. beyond_placebo: what the repair has over it. no_placebo: why there is
            none. placebo_on: the samples that were enough for the placebo; empty where all were measured.
        afterwards: what the network comes to, and whether it is still harmed.
        refused: why it was not made; empty where it was.
        measured_on: the samples that were enough to rule it out; empty where all were measured.
    """

    trial: Trial
    title: str
    where: str
    scheme: str
    recovers: Amount | None
    decibels: Amount | None
    at: str
    own: str
    placebo: Amount | None
    beyond_placebo: Amount | None
    no_placebo: str
    afterwards: str
    float_network: str
    refused: str
    measured_on: str = ""
    placebo_on: str = ""

    @property
    def recovers_words(self) -> str:
        """Everything that came back, in one cell: `56.4 pp (95 %: ...); 8.6 dB (95 %: ...) at output boxes`."""
        if self.refused:
            return f"refused: {self.refused}"
        if self.recovers is None:
            return UNKNOWN
        parts = [self.recovers.full, *([self.decibels.full] if self.decibels is not None else [])]
        return "; ".join(parts) + self.at + (f"; {self.own}" if self.own else "")

    @property
    def changes_float_network(self) -> bool:
        """What it recovers is no reason for it: the float network no longer computes what it did."""
        cost = self.trial.float_cost
        is_moved = cost is not None and not cost.is_of_checkpoint and cost.relative_delta > FLOAT_DELTA_LIMIT
        return is_moved and not self.trial.helps

    @property
    def placebo_words(self) -> str:
        """What the placebo recovers, and on how many samples where these are not all, or why there is none."""
        if self.placebo is None:
            return self.no_placebo
        return "; ".join(filter(None, (self.placebo.full, self.placebo_on)))


@dataclass(frozen=True, slots=True)
class SiteRow:
    """One place of a finding: the layer, its channels, and what was seen there, a phrase each."""

    layer: str
    channels: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding beside the one that names a suspect, or one that no repair tested.

    Attributes:
        evidence: of its worst place.
    """

    finding: Finding
    code: str
    title: str
    layers: tuple[str, ...]
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SuspectRow:
    """One suspect.

    Attributes:
        line: the fault, where it is, and what its best repair recovered, or why it is no cause.
        verdict: in words. reason: one short fact; may be empty.
        best: the repair that is told of it. credited: what counts of that for the suspect, in words.
        also: findings that point at the same places.
    """

    cause: RankedCause
    rank: int
    code: str
    title: str
    verdict: str
    reason: str
    line: str
    layers: tuple[str, ...]
    sites: tuple[SiteRow, ...]
    also: tuple[FindingRow, ...]
    trials: tuple[TrialRow, ...]
    best: TrialRow | None
    credited: str

    @property
    def placebo(self) -> str:
        """What the placebo of the best repair recovers, or why there is none."""
        return self.best.placebo_words if self.best is not None else ""


def suspect_rows(ranking: Ranking) -> tuple[SuspectRow, ...]:
    """One row per suspect, in the order of rank."""
    return tuple(_suspect(cause, ranking) for cause in ranking.causes)


def finding_row(finding: Finding) -> FindingRow:
    """A finding with its worst place."""
    evidence = tuple(map(evidence_words, finding.sites[0].evidence)) if finding.sites else ()
    return FindingRow(finding, finding.code, cause_title(finding.code), finding.layers, evidence)


def trial_row(trial: Trial, ranking: Ranking) -> TrialRow:
    """One repair, tried alone."""
    own, recovery, placebo = trial_criterion(trial), trial.recovery, trial.placebo
    is_seen = trial.refused is None
    return TrialRow(
        trial=trial,
        title=trial_title(trial),
        where=counted_places(trial.layers),
        scheme=_KEPT if trial.keeps_scheme else _CHANGED,
        recovers=amount_of(recovery, own) if recovery is not None else None,
        decibels=decibels_of(recovery) if recovery is not None and recovery.has_task else None,
        at=lost_most_words(ranking.before) if recovery is not None else "",
        own=own_words(trial, own),
        placebo=amount_of(placebo.recovery, own) if placebo is not None else None,
        beyond_placebo=amount_of(placebo.over_placebo, own) if placebo is not None else None,
        no_placebo="" if placebo is not None or not is_seen else trial.no_placebo or _NOT_MEASURED,
        afterwards=afterwards_cell(trial, ranking) if is_seen else "",
        float_network=float_words(trial.float_cost, trial.repair),
        refused=trial.refused or "",
        measured_on=_fewer_samples(trial, ranking),
        placebo_on=placebo_samples(trial, ranking),
    )


def _fewer_samples(trial: Trial, ranking: Ranking) -> str:
    """`on 32 of 500 samples`; empty where all were measured, or none."""
    count, whole = trial.after.task.sample_count if trial.after is not None else 0, ranking.before.task.sample_count
    return f"on {count} of {count_noun(whole, 'sample')}" if 0 < count < whole and trial.refused is None else ""


def afterwards_cell(trial: Trial, ranking: Ranking) -> str:
    """What the network comes to, at the place where most had been lost too, and whether it is harmed then."""
    if trial.after is None:
        return UNKNOWN
    still = still_words(trial.after) if ranking.harm.verdict == "harmed" else ""
    return score_words(trial.after, ranking.criterion) + same_place_words(ranking.before, trial.after) + still


def _suspect(cause: RankedCause, ranking: Ranking) -> SuspectRow:
    told = told_trial(ranking, cause)
    return SuspectRow(
        cause=cause,
        rank=cause.rank,
        code=cause.code,
        title=cause_title(cause.code),
        verdict=VERDICT_WORDS[cause.verdict],
        reason=cause.reason,
        line=cause_line(cause, ranking),
        layers=cause.layers,
        sites=tuple(map(_site, cause.sites)),
        also=tuple(map(finding_row, cause.findings[1:])),
        trials=tuple(trial_row(trial, ranking) for trial in cause.trials),
        best=trial_row(told, ranking) if told is not None else None,
        credited=credited_words(told, trial_criterion(told)) if told is not None else "",
    )


def _site(site: FindingSite) -> SiteRow:
    where = f"inputs {channel_list(site.inputs)}" if site.inputs else channel_list(site.channels)
    return SiteRow(site.layer, where or "whole layer", tuple(map(evidence_words, site.evidence)))
