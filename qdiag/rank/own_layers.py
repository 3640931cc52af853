"""What a change of scheme that reaches other layers says of the suspect's own: 16 bits for a layer widen what it reads.

The gain of such a change may be that of the other layers alone. So the suspect's own layers are measured by themselves,
with all that they compute in float, which is the most that any repair of them can recover. Where that is nothing
beyond noise, the change proves nothing about them, unless it has more than the same change at the other layers alone,
and those leave harm: then the suspect is hidden behind them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.ranking import Trial
from qdiag.plan import QuantPlan
from qdiag.rank.bench import Attempt, Bench
from qdiag.rank.harm import is_gain
from qdiag.rank.suspects import Suspect
from qdiag.simulate.case import Case
from qdiag.simulate.sweeps.sensitivity import all_but_these, layers_with
from qdiag.simulate.task.scoring import Scored, recovery


def own_cases(bench: Bench, attempts: Sequence[Attempt], trials: Sequence[Trial]) -> dict[int, Case]:
    """The network with a suspect's own layers in float, by the suspect's id, wherever a trial asks for it."""
    if harm_of(bench.base.score).verdict != "harmed":
        return {}
    asking = [a.suspect for a, trial in zip(attempts, trials, strict=True) if _reaches_others(bench.case, a, trial)]
    suspects = {id(suspect): suspect for suspect in asking}
    return {key: all_but_these(bench.case, _sites(suspect)) for key, suspect in suspects.items()}


def with_own_gains(
    bench: Bench,
    attempts: Sequence[Attempt],
    trials: Sequence[Trial],
    scores: Sequence[Scored | None],
    alone: Mapping[int, Case],
) -> list[Trial]:
    """The trials, those that reach other layers beside what the suspect's own layers recover."""
    result = list(trials)
    bench.score(list(alone.values()), "suspects' own layers")
    others: dict[int, Case] = {}
    for i, (attempt, trial) in enumerate(zip(attempts, trials, strict=True)):
        if id(attempt.suspect) not in alone or not _reaches_others(bench.case, attempt, trial):
            continue
        own = bench.score([alone[id(attempt.suspect)]], "suspects' own layers")[0]
        result[i] = replace(trial, own=recovery(before=bench.base, after=own))
        if result[i].is_of_others and attempt.treatment is not None:
            others[i] = _at_others(attempt.treatment.case, bench.case, _sites(attempt.suspect))
    measured = bench.score(list(others.values()), "layers beside suspects")
    for i, score in zip(others, measured, strict=True):
        after = scores[i]
        if after is not None and harm_of(score.score).verdict == "harmed":
            result[i] = replace(result[i], over_others=recovery(before=score, after=after))
    return result


def _reaches_others(case: Case, attempt: Attempt, trial: Trial) -> bool:
    """A change of scheme that gains, and not at the suspect's own layers alone."""
    if trial.keeps_scheme or trial.recovery is None or not is_gain(trial.recovery) or not attempt.suspect.sites:
        return False
    return not set(trial.layers) <= set(layers_with(case, _sites(attempt.suspect)))


def _sites(suspect: Suspect) -> tuple[str, ...]:
    return tuple(dict.fromkeys(site.layer for site in suspect.sites))


def _at_others(treated: Case, untreated: Case, names: Sequence[str]) -> Case:
    """The treated case with these layers' quantizers as they were before."""
    layers, before = dict(treated.plan.layers), untreated.plan.layers
    for name in layers_with(untreated, names):
        # the width of a bias goes with what the layer reads, which stays treated
        layers[name] = replace(before[name], bias=layers[name].bias)
    return replace(treated, plan=QuantPlan(treated.plan.scheme, layers))
