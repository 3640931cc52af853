"""Repairs tried alone: each applied to one suspect, on a copy, all of them measured in shared passes."""

from collections.abc import Sequence
from dataclasses import replace

from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.ranking import Placebo, Trial
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.core.causes.score import FloatCost
from qdiag.rank.bench import Attempt, Bench, costs_too_much
from qdiag.rank.harm import is_gain, is_gain_in_db
from qdiag.rank.own_layers import own_cases, with_own_gains
from qdiag.rank.placebo import placebo_sites, shares_layers
from qdiag.rank.suspects import Suspect
from qdiag.simulate.case import Case
from qdiag.simulate.task.scoring import Scored, recovery

_SAME_LAYERS = "elsewhere it changes these layers too"


def run_trials(bench: Bench, suspects: Sequence[Suspect]) -> list[tuple[Suspect, list[Trial]]]:
    """Every repair of every suspect alone, then placebos beside those that recovered something.

    Returns:
        Per suspect: its trials, in the order of its repairs.
    """
    attempts = [bench.apply(s, repair, bench.case, s.sites) for s in suspects for repair in s.repairs]
    rows = bench.score_attempts(attempts, "repairs", beside=[bench.case])
    trials, scores = [_trial(bench, *row) for row in rows], [after for _, after, _ in rows]
    alone = own_cases(bench, attempts, trials)
    trials = _with_placebos(bench, attempts, trials, scores, beside=list(alone.values()))
    trials = with_own_gains(bench, attempts, trials, scores, alone)
    own = list(zip(attempts, trials, strict=True))
    return [(suspect, [trial for attempt, trial in own if attempt.suspect is suspect]) for suspect in suspects]


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
    bench: Bench,
    attempts: Sequence[Attempt],
    trials: Sequence[Trial],
    scores: Sequence[Scored | None],
    beside: Sequence[Case],
) -> list[Trial]:
    """The trials that gained something, beside the same repair elsewhere; the others need none.

    Args:
        beside: other cases that will be asked for, measured in the same passes.
    """
    drawn: dict[int, tuple[FindingSite, ...]] = {}
    placebos: list[Attempt] = []
    result = list(trials)
    for i, (attempt, trial) in enumerate(zip(attempts, trials, strict=True)):
        if trial.recovery is None or not (is_gain(trial.recovery) or is_gain_in_db(trial.recovery)):
            continue
        suspect = attempt.suspect
        taken = frozenset((*(site.layer for site in suspect.sites), *trial.layers))
        traits, seed = TRAITS[attempt.repair], bench.session.seed
        sites = placebo_sites(traits, suspect.sites, suspect.place, bench.case, taken=taken, seed=seed)
        if not sites:
            none_left = _SAME_LAYERS if traits.placebo == "none" else "no other place of the kind is left"
            result[i] = replace(trial, no_placebo=none_left)
            continue
        placebo = bench.apply(suspect, attempt.repair, bench.case, sites)
        if placebo.treatment is None:
            result[i] = replace(trial, no_placebo=f"refused elsewhere: {placebo.refused}")
            continue
        if shares_layers(traits, trial.layers, placebo.treatment.layers):
            result[i] = replace(trial, no_placebo=_SAME_LAYERS)
            continue
        drawn[i] = sites
        placebos.append(placebo)
    cases = [p.treatment.case for p in placebos if p.treatment is not None]
    measured = bench.score([*cases, *beside], "placebos")[: len(cases)]
    for (i, sites), score in zip(drawn.items(), measured, strict=True):
        after = scores[i]
        assert after is not None
        elsewhere = Placebo(
            sites, recovery(before=bench.base, after=score), over_placebo=recovery(before=score, after=after)
        )
        result[i] = replace(result[i], placebo=elsewhere)
    return result
