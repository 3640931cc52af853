"""Repairs tried alone: each applied to one suspect, on a copy, all of them measured in shared passes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.ranking import Placebo, Trial
from qdiag.core.causes.repair_traits import TRAITS, keeps_scheme
from qdiag.core.causes.score import FloatCost, Recovery
from qdiag.rank.bench import Attempt, Bench, costs_too_much
from qdiag.rank.claim import is_claim, order_trials
from qdiag.rank.harm import is_gain, is_gain_in_db
from qdiag.rank.own_layers import own_cases, with_own_gains
from qdiag.rank.placebo import placebo_sites, shares_layers
from qdiag.rank.race import Few, few_words, ruled_out
from qdiag.rank.settled import settled
from qdiag.rank.suspects import Suspect
from qdiag.simulate.case import Case
from qdiag.simulate.facts.bias import new_overflows
from qdiag.simulate.task.scoring import Scored, recovery

_PROVED = "measured beside another repair of these layers, which recovers as much or more"
_SAME_LAYERS = "elsewhere it changes these layers too"


def run_trials(bench: Bench, suspects: Sequence[Suspect]) -> list[tuple[Suspect, list[Trial]]]:
    """Every repair of every suspect alone, then placebos beside those that recovered something.

    Returns:
        Per suspect: its trials, in the order of its repairs.
    """
    attempts = [bench.apply(s, repair, bench.case, s.sites) for s in suspects for repair in s.repairs]
    few = ruled_out(bench, attempts, bench.case, "repairs", rivals=_rivals, with_costs=True)
    known = _measured(bench, [attempt for attempt in attempts if id(attempt) not in few])
    proved = {_rivals(attempt) for attempt in attempts if id(attempt) in known and is_claim(known[id(attempt)])}
    # without a proof among its rivals, what is not worse than nothing may be one
    beaten = [a for a in attempts if id(a) in few and few[id(a)].reason == "beaten"]
    again = [a for a in beaten if _rivals(a) not in proved]
    if again:
        known = _measured(bench, [a for a in attempts if id(a) not in few or a in again])
    told = [(a, known[id(a)] if id(a) in known else _ruled_out(bench, a, few[id(a)], known)) for a in attempts]
    return [(suspect, [trial for attempt, trial in told if attempt.suspect is suspect]) for suspect in suspects]


def _rivals(attempt: Attempt) -> tuple[int, bool]:
    """Of one suspect, those that keep the scheme, and the others: one proof of each kind is enough for a verdict."""
    return id(attempt.suspect), bool(keeps_scheme(attempt.repair))


def _measured(bench: Bench, attempts: Sequence[Attempt]) -> dict[int, Trial]:
    """Trials on all samples, by the attempt's id."""
    rows = bench.score_attempts(attempts, "repairs", beside=[bench.case])
    trials, scores = [_trial(bench, *row) for row in rows], [after for _, after, _ in rows]
    trials = with_own_gains(bench, attempts, trials, scores, own_cases(bench, attempts, trials))
    if bench.is_exhaustive:
        gaining = [i for i, trial in enumerate(trials) if trial.recovery and _gives_something(trial.recovery)]
        trials = _with_placebos(bench, attempts, trials, gaining)
    else:
        trials = _with_needed_placebos(bench, attempts, trials)
    trials = _with_checkpoint_costs(bench, attempts, trials)
    return {id(attempt): trial for attempt, trial in zip(attempts, trials, strict=True)}


def _ruled_out(bench: Bench, attempt: Attempt, few: Few, known: Mapping[int, Trial]) -> Trial:
    """What an attempt was on the samples that ruled it out; all of them tell what costs the float network too much.

    Of one whose outputs are those of another attempt: what that one was.
    """
    assert attempt.treatment is not None
    treatment, cost = attempt.treatment, few.cost
    if costs_too_much(cost) is not None:
        bench.measure_costs([attempt], "float networks")
        cost = bench.cost(attempt)
    if (too_much := costs_too_much(cost)) is not None:
        return Trial(attempt.repair, treatment.layers, refused=too_much, float_cost=cost)
    twin = known.get(few.twin) if few.twin is not None else None
    is_known = twin is not None and twin.after is not None
    return Trial(
        attempt.repair,
        treatment.layers,
        after=twin.after if twin is not None and is_known else few.after.score,
        recovery=twin.recovery if twin is not None and is_known else recovery(before=few.before, after=few.after),
        float_cost=cost,
        no_placebo=few_words(few, bench.case.measured.sample_count),
        settings=treatment.settings,
        costs=(*treatment.costs, *new_overflows(bench.case, treatment.case)),
    )


def _gives_something(recovery: Recovery) -> bool:
    return is_gain(recovery) or is_gain_in_db(recovery)


def _with_needed_placebos(bench: Bench, attempts: Sequence[Attempt], trials: list[Trial]) -> list[Trial]:
    """Of each suspect the best repair that gained has its placebo, among those that keep the scheme and among others;
    where that gains as much, the next best. One proof of each kind is enough for a verdict.
    """
    left: dict[tuple[int, bool], list[int]] = {}
    ranks = {id(trial): place for place, trial in enumerate(order_trials(trials))}
    for i in sorted(range(len(trials)), key=lambda i: ranks[id(trials[i])]):
        recovered = trials[i].recovery
        if recovered is not None and is_gain(recovered):
            left.setdefault((id(attempts[i].suspect), bool(trials[i].keeps_scheme)), []).append(i)
    while left:
        chosen = [places[0] for places in left.values()]
        trials = _with_whole_costs(bench, attempts, trials, chosen)
        tested = [i for i in chosen if trials[i].recovery is not None]
        trials = _with_placebos(bench, attempts, trials, tested)
        for key, (first, *others) in list(left.items()):
            if is_claim(trials[first]):
                for i in others:
                    trials[i] = replace(trials[i], no_placebo=_PROVED)
                others = []
            if others:
                left[key] = others
            else:
                del left[key]
    return trials


def _with_whole_costs(
    bench: Bench, attempts: Sequence[Attempt], trials: Sequence[Trial], chosen: Sequence[int]
) -> list[Trial]:
    """The trials, some of them with what they cost the float network on all samples, which may refuse them."""
    result = list(trials)
    bench.measure_costs([attempts[i] for i in chosen], "float networks", on_all=True)
    for i in chosen:
        cost, trial = bench.cost(attempts[i]), result[i]
        too_much = costs_too_much(cost)
        if too_much is not None:
            result[i] = Trial(trial.repair, trial.layers, refused=too_much, float_cost=cost)
        elif cost is not None:
            result[i] = replace(trial, float_cost=cost)
    return result


def _with_checkpoint_costs(bench: Bench, attempts: Sequence[Attempt], trials: Sequence[Trial]) -> list[Trial]:
    """What a checkpoint with a repair costs the float network, where anybody would make the repair."""
    asked = [
        attempt
        for attempt, trial in zip(attempts, trials, strict=True)
        if trial.recovery is not None and (bench.is_exhaustive or _gives_something(trial.recovery))
    ]
    bench.measure_costs(asked, "checkpoints")
    known = [bench.cost(attempt) for attempt in attempts]
    return [
        replace(trial, float_cost=cost) if trial.recovery is not None and cost is not None else trial
        for trial, cost in zip(trials, known, strict=True)
    ]


def _trial(bench: Bench, attempt: Attempt, after: Scored | None, cost: FloatCost | None) -> Trial:
    layers = tuple(site.layer for site in attempt.suspect.sites)
    if attempt.treatment is None or after is None:
        return Trial(attempt.repair, attempt.layers or layers, refused=attempt.refused, float_cost=attempt.cost)
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
        costs=(*treatment.costs, *new_overflows(bench.case, treatment.case)),
    )


def _with_placebos(
    bench: Bench, attempts: Sequence[Attempt], trials: Sequence[Trial], chosen: Sequence[int]
) -> list[Trial]:
    """Some trials beside the same repair elsewhere.

    Args:
        chosen: their places in `trials`.
    """
    drawn: dict[int, tuple[FindingSite, ...]] = {}
    rows: list[tuple[Case, Case, Case]] = []
    result = list(trials)
    for i in chosen:
        attempt, trial = attempts[i], trials[i]
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
        assert attempt.treatment is not None
        drawn[i] = sites
        rows.append((placebo.treatment.case, attempt.treatment.case, bench.case))
    whole = bench.case.measured.sample_count
    for (i, sites), (there, after, base) in zip(drawn.items(), settled(bench, rows, "placebos"), strict=True):
        count, over_placebo = there.score.task.sample_count, recovery(before=there, after=after)
        elsewhere = Placebo(sites, recovery(before=base, after=there), over_placebo, count if count < whole else None)
        result[i] = replace(result[i], placebo=elsewhere)
    return result
