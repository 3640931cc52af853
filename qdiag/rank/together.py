"""Repairs made together where none recovers anything alone: each of two faults may ruin a network by itself.

Which repair of a suspect is taken is seen where the layers of other suspects are in float, so that nothing hides it.
"""

from collections.abc import Sequence

from qdiag.core.causes.ranking import Trial
from qdiag.core.causes.repair_traits import IN_FLOAT
from qdiag.rank.bench import FEW, Attempt, Bench, costs_too_much
from qdiag.rank.harm import is_gain, is_gain_in_db
from qdiag.rank.suspects import Suspect
from qdiag.rank.waterfall import MOST_STEPS, Step
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.task.scoring import Scored, recovery

_STAGE = "repairs together"

Chosen = tuple[Suspect, str]


def build_together(bench: Bench, trials: Sequence[tuple[Suspect, Sequence[Trial]]]) -> list[Step]:
    """A sequence of repairs that keep the scheme, none of which can be left out; empty where that recovers nothing.

    Args:
        trials: of every suspect, made alone.
    """
    able = [(suspect, names) for suspect, own in trials if (names := _usable(own))]
    ideal = _in_float(bench, [suspect for suspect, _ in able])
    if len(able) < 2:
        return []
    before, after = bench.score([on_some(bench.case, FEW), on_some(ideal, FEW)], f"{_STAGE}, in float", keeps=True)
    if not is_gain(recovery(before=before, after=after)):
        return []
    chosen = _chosen(bench, able)[:MOST_STEPS]
    while len(chosen) > 1:
        steps = _steps(bench, chosen)
        if len(steps) < 2 or not is_gain(recovery(before=bench.base, after=steps[-1].after)):
            return []
        idle = _first_idle(bench, [(step.suspect, step.repair) for step in steps], steps[-1].after)
        if idle is None:
            return steps
        chosen = [one for one in chosen if one[0] is not idle]
    return []


def _usable(trials: Sequence[Trial]) -> list[str]:
    return [trial.repair for trial in trials if trial.recovery is not None and trial.keeps_scheme]


def _in_float(bench: Bench, suspects: Sequence[Suspect]) -> Case:
    """With the layers of these suspects in float; what cannot be is left as it is, or is in float already."""
    case = bench.case
    for suspect in suspects:
        treatment = bench.apply(suspect, IN_FLOAT, case, suspect.sites).treatment
        case = treatment.case if treatment is not None else case
    return case


def _others(bench: Bench, suspect: Suspect, suspects: Sequence[Suspect]) -> list[Suspect]:
    """Without those at what reads its layers: in float they take what it hands to them without rounding."""
    graph = bench.case.network.graph
    own = {site.layer for site in suspect.sites}
    own |= {reader.name for site in suspect.sites for reader in graph.consumers(site.layer)}
    return [one for one in suspects if one is not suspect and not own & {site.layer for site in one.sites}]


def _chosen(bench: Bench, able: Sequence[tuple[Suspect, Sequence[str]]]) -> list[Chosen]:
    """Of each suspect the repair that recovers most where the others are in float; none of one where none recovers."""
    rows, cases = list[tuple[Suspect, list[Attempt]]](), list[Case]()
    for suspect, names in able:
        rest = _in_float(bench, _others(bench, suspect, [one for one, _ in able]))
        tried = [bench.apply(suspect, name, rest, suspect.sites) for name in names]
        made = [(one, one.treatment.case) for one in tried if one.treatment is not None]
        rows.append((suspect, [one for one, _ in made]))
        cases += [rest, *(case for _, case in made)]
    scores = iter(bench.score([on_some(case, FEW) for case in cases], _STAGE, keeps=True))
    found = list[Chosen]()
    for suspect, attempts in rows:
        before = next(scores)
        gains = [(recovery(before=before, after=next(scores)), one) for one in attempts]
        gains = [row for row in gains if is_gain(row[0]) or is_gain_in_db(row[0])]
        if gains:
            best = max(gains, key=lambda row: (is_gain(row[0]), row[0].recovered_db))
            found.append((suspect, best[1].repair))
    return found


def _steps(bench: Bench, chosen: Sequence[Chosen]) -> list[Step]:
    """One repair on top of the other, measured on all samples, without those that cost the float network too much."""
    made, case = list[Attempt](), bench.case
    for suspect, repair in chosen:
        attempt = bench.apply(suspect, repair, case, suspect.sites)
        if attempt.treatment is not None:
            made.append(attempt)
            case = attempt.treatment.case
    cases = [attempt.treatment.case for attempt in made if attempt.treatment is not None]
    before, steps = bench.base, list[Step]()
    for attempt, after in zip(made, bench.score(cases, _STAGE), strict=True):
        assert attempt.treatment is not None
        held = steps[-1].held if steps else {}
        bench.measure_costs([attempt], "checkpoints", held=held, on_all=True)
        cost = bench.cost(attempt)
        if costs_too_much(cost):
            return _steps(bench, [one for one in chosen if one[0] is not attempt.suspect])
        own = {} if attempt.treatment.moves_float else attempt.treatment.tensors
        gained = recovery(before=before, after=after)
        steps.append(Step(attempt.suspect, attempt.repair, attempt.treatment, after, gained, cost, {**held, **own}))
        before = after
    return steps


def _first_idle(bench: Bench, chosen: Sequence[Chosen], last: Scored) -> Suspect | None:
    """A suspect without whose repair the others recover as much; None where each is needed."""
    cases, left_out = list[Case](), list[Suspect]()
    for place in range(len(chosen)):
        case = bench.case
        for suspect, repair in (*chosen[:place], *chosen[place + 1 :]):
            treatment = bench.apply(suspect, repair, case, suspect.sites).treatment
            case = treatment.case if treatment is not None else case
        cases.append(case)
        left_out.append(chosen[place][0])
    scores = bench.score(cases, f"{_STAGE}, without each")
    idle = (one for one, score in zip(left_out, scores, strict=True) if not is_gain(recovery(before=score, after=last)))
    return next(idle, None)
