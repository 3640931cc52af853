"""Repairs tried alone: each applied to one suspect, on a copy, all of them measured in shared passes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from qdiag.core.causes import FloatCost, Placebo, Trial
from qdiag.core.findings import FindingSite
from qdiag.core.progress import Progress
from qdiag.core.repair_names import repair_name
from qdiag.errors import QdiagError, RepairRefused
from qdiag.rank.harm import is_gain, is_gain_in_db
from qdiag.rank.placebo import placebo_sites, shares_layers
from qdiag.rank.suspects import Suspect
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.simulate.case import Case, without_quantizers
from qdiag.simulate.score_cases import Effort, score_cases
from qdiag.simulate.scoring import Scored, float_cost, recovery

FLOAT_DROP_LIMIT_PP = 1.0
"""Points of accuracy, or of top-1 that changes, that a repair may cost the float network itself."""
FLOAT_DELTA_LIMIT = 0.05
"""The same for networks without logits: largest |change| of an output over its largest |value|."""


@dataclass(frozen=True)
class Attempt:
    """A repair applied to a suspect of a case; `treatment` is None when it was refused."""

    suspect: Suspect
    repair: str
    treatment: Treatment | None
    refused: str | None = None


@dataclass
class Bench:
    """What all trials share.

    Attributes:
        case: untreated. base: its score. repairs: by name. suspects: all of them.
    """

    case: Case
    base: Scored
    repairs: Mapping[str, Repair]
    context: RepairContext
    progress: Progress
    seed: int
    suspects: Sequence[Suspect] = ()
    effort: Effort = field(default_factory=Effort)

    def apply(self, suspect: Suspect, repair: str, case: Case, sites: Sequence[FindingSite]) -> Attempt:
        """A treatment, or why there is none."""
        if repair not in self.repairs:
            return Attempt(suspect, repair, None, "this version has no such repair")
        # what a repair gives back counts for its own suspect only when it leaves the others' channels alone
        context = replace(self.context, spared=spared_channels(self.suspects, suspect), is_local=bool(suspect.code))
        try:
            return Attempt(suspect, repair, self.repairs[repair].apply(case, sites, context))
        except RepairRefused as refusal:
            return Attempt(suspect, repair, None, refusal.message)
        except QdiagError as error:
            return Attempt(suspect, repair, None, f"it failed: {error}")

    def score(self, cases: Sequence[Case], stage: str) -> list[Scored]:
        """Scores on the measured data."""
        if not cases:
            return []
        found, effort = score_cases(cases, self.case.measured, self.progress, stage=stage)
        self.effort = self.effort + effort
        return found

    def score_attempts(
        self, attempts: Sequence[Attempt], stage: str
    ) -> list[tuple[Attempt, Scored | None, FloatCost | None]]:
        """Each attempt with its score, and what it costs the float network where it changes that."""
        cases: list[Case] = []
        for attempt in attempts:
            if attempt.treatment is not None:
                cases.append(attempt.treatment.case)
                if attempt.treatment.moves_float:
                    cases.append(without_quantizers(attempt.treatment.case))
        scores = iter(self.score(cases, stage))
        rows: list[tuple[Attempt, Scored | None, FloatCost | None]] = []
        for attempt in attempts:
            if attempt.treatment is None:
                rows.append((attempt, None, None))
                continue
            after = next(scores)
            cost = float_cost(next(scores)) if attempt.treatment.moves_float else None
            rows.append((attempt, after, cost))
        return rows


def spared_channels(suspects: Sequence[Suspect], treated: Suspect) -> dict[str, frozenset[int]]:
    """Channels of the weights that belong to other suspects, by layer; none where the treated one has no finding."""
    found: dict[str, set[int]] = {}
    for other in suspects if treated.code else ():
        if other is not treated and other.place == "weight":
            for site in other.sites:
                found.setdefault(site.layer, set()).update(site.channels)
    for site in treated.sites:
        found.get(site.layer, set()).difference_update(site.channels)
    return {layer: frozenset(channels) for layer, channels in found.items() if channels}


def costs_too_much(cost: FloatCost | None) -> str | None:
    """Why a repair must not be made, from what it does to the float network; None when it may."""
    if cost is None:
        return None
    if cost.pairs is None:
        if cost.relative_delta <= FLOAT_DELTA_LIMIT:
            return None
        return f"it changes the float output by {100 * cost.relative_delta:.1f} % of its largest value"
    if cost.pairs.drop_pp <= FLOAT_DROP_LIMIT_PP:
        return None
    return f"it costs the float network {cost.pairs.drop_pp:.1f} points, more than {FLOAT_DROP_LIMIT_PP:g}"


def run_trials(bench: Bench, suspects: Sequence[Suspect]) -> list[tuple[Suspect, list[Trial], list[Attempt]]]:
    """Every repair of every suspect alone, then placebos beside those that gave something back.

    Returns:
        Per suspect: its trials, and the attempts behind them in the same order.
    """
    attempts = [bench.apply(s, repair, bench.case, s.sites) for s in suspects for repair in s.repairs]
    rows = bench.score_attempts(attempts, "repairs")
    trials = [_trial(bench, attempt, after, cost) for attempt, after, cost in rows]
    trials = _with_placebos(bench, attempts, trials, [after for _, after, _ in rows])
    return [
        (
            suspect,
            [t for a, t in zip(attempts, trials, strict=True) if a.suspect is suspect],
            [a for a in attempts if a.suspect is suspect],
        )
        for suspect in suspects
    ]


def _trial(bench: Bench, attempt: Attempt, after: Scored | None, cost: FloatCost | None) -> Trial:
    layers = tuple(site.layer for site in attempt.suspect.sites)
    if attempt.treatment is None or after is None:
        return Trial(attempt.repair, layers, refused=attempt.refused)
    treatment = attempt.treatment
    too_much = costs_too_much(cost)
    if too_much is not None:
        return Trial(attempt.repair, treatment.layers, refused=too_much, float_cost=cost)
    return Trial(
        attempt.repair,
        treatment.layers,
        after=after.score,
        recovery=recovery(before=bench.base, after=after),
        float_cost=cost,
        settings=treatment.settings,
        costs=treatment.costs,
    )


def _with_placebos(
    bench: Bench, attempts: Sequence[Attempt], trials: Sequence[Trial], scores: Sequence[Scored | None]
) -> list[Trial]:
    """The trials that gained something, beside the same repair elsewhere; the others need none."""
    drawn: dict[int, tuple[FindingSite, ...]] = {}
    placebos: list[Attempt] = []
    result = list(trials)
    for i, (attempt, trial) in enumerate(zip(attempts, trials, strict=True)):
        if trial.recovery is None or not (is_gain(trial.recovery) or is_gain_in_db(trial.recovery)):
            continue
        suspect = attempt.suspect
        taken = frozenset((*(site.layer for site in suspect.sites), *trial.layers))
        sites = placebo_sites(attempt.repair, suspect.sites, suspect.place, bench.case, taken=taken, seed=bench.seed)
        if not sites:
            result[i] = replace(trial, no_placebo="no other place of the kind is left")
            continue
        placebo = bench.apply(suspect, attempt.repair, bench.case, sites)
        if placebo.treatment is None:
            result[i] = replace(trial, no_placebo=f"refused elsewhere: {placebo.refused}")
            continue
        if shares_layers(attempt.repair, trial.layers, placebo.treatment.layers):
            result[i] = replace(trial, no_placebo="elsewhere it changes these layers too")
            continue
        drawn[i] = sites
        placebos.append(placebo)
    measured = bench.score([p.treatment.case for p in placebos if p.treatment is not None], "placebos")
    for (i, sites), score in zip(drawn.items(), measured, strict=True):
        after = scores[i]
        assert after is not None
        beside = Placebo(
            sites, recovery(before=bench.base, after=score), over_placebo=recovery(before=score, after=after)
        )
        result[i] = replace(result[i], placebo=beside)
    return result


def keeps_scheme(trial: Trial) -> bool:
    """The trial's repair leaves the integer format as the user set it."""
    return repair_name(trial.repair).keeps_scheme
