"""Repairs on top of one another: the table of the papers, each row measured on top of the ones before."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.ranking import Trial, WaterfallStep
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.core.causes.score import GAIN_LIMIT_DB, FloatCost, Recovery
from qdiag.rank.bench import Attempt, Bench, costs_too_much
from qdiag.rank.harm import is_gain, is_gain_in_db
from qdiag.rank.placebo import placebo_sites
from qdiag.rank.race import worth_all_samples
from qdiag.rank.settled import settled
from qdiag.rank.suspects import Suspect
from qdiag.repairs.base import Treatment
from qdiag.simulate.case import Case
from qdiag.simulate.task.scoring import Scored, recovery

MOST_STEPS = 6
"""Nobody makes more repairs than that, and each step costs a pass."""
EVERYWHERE = tuple(traits.name for traits in TRAITS.values() if traits.helps_anywhere)
"""Repairs that may be made wherever there are weights, finding or not."""
CANDIDATES_PER_SUSPECT = 2
"""Repairs of one suspect that are tried on top: those that gave most alone."""


@dataclass(frozen=True)
class Step:
    """One step while the sequence is built; `treatment` holds the case with all steps up to this one.

    Attributes:
        cost: of all steps up to this one to the float network that their checkpoint holds. held: tensors of them that
            a checkpoint holds and the case does not.
    """

    suspect: Suspect
    repair: str
    treatment: Treatment
    after: Scored
    gained: Recovery
    cost: FloatCost | None = None
    held: Mapping[str, Tensor] = field(default_factory=dict)

    def record(self) -> WaterfallStep:
        """The step as plain values."""
        return WaterfallStep(
            self.suspect.code,
            self.repair,
            self.treatment.layers,
            self.after.score,
            self.gained,
            self.treatment.settings,
            self.cost,
        )


def build_waterfall(bench: Bench, trials: Sequence[tuple[Suspect, Sequence[Trial]]]) -> list[Step]:
    """Greedily: the repair that gives most, then the one that gives most on top of it, until none gives anything.

    Only repairs that keep the scheme. Points of accuracy (or agreement) decide; where no repair moves those, less noise
    at the output lets the sequence go on, because two faults can each hide what the repair of the other gives. When the
    suspects are through, repairs of the whole network have their turn: no finding speaks for them, but they may help.
    The sequence ends where the float network itself is no better beyond noise, since no repair can gain points then.
    """
    steps: list[Step] = []
    rounds: list[list[tuple[Suspect, Sequence[str]]]] = [
        [(suspect, _candidates(own)) for suspect, own in trials],
        [(_everywhere(bench.case), [name for name in EVERYWHERE if name in bench.repairs])],
    ]
    for left in rounds:
        while left and len(steps) < MOST_STEPS:
            best = None if _is_as_good_as_float(bench, steps) else _best_step(bench, left, steps)
            if best is None:
                break
            steps.append(best)
            left = _after(left, best)
    while steps and not is_gain(steps[-1].gained) and steps[-1].gained.has_task:
        steps.pop()  # the last ones only quieted the output, and no accuracy followed
    # repairs of one kind in succession are one command, which writes one checkpoint: that of the last of them
    ends = [i for i, step in enumerate(steps, 1) if i == len(steps) or steps[i].repair != step.repair]
    return [_priced(bench, x, steps[: i - 1], on_all=i in ends, on_few=i not in ends) for i, x in enumerate(steps, 1)]


def _priced(bench: Bench, step: Step, before: Sequence[Step], *, on_all: bool = False, on_few: bool = False) -> Step:
    """With what it and the steps before it cost the float network, on a few samples where these settle it."""
    attempt = Attempt(step.suspect, step.repair, step.treatment)
    held = before[-1].held if before else {}
    bench.measure_costs([attempt], "checkpoints", held=held, on_all=on_all, on_few=on_few)
    return replace(step, cost=bench.cost(attempt))


def needed_steps(bench: Bench, steps: Sequence[Step]) -> list[bool]:
    """For each step whether the sequence is better with it than with its placebo in its place, beyond noise.

    The sequence is that of the suspects: what is made of the whole network after it may well make up for one of them.
    The placebo is the same repair elsewhere; where there is no other place, the step is left out instead. A sequence of
    one step is the repair alone, which has been judged already.
    """
    own = suspects_steps(steps)
    if len(own) < 2:
        return [False] * len(steps)
    cases, last = [_without(bench, own, i) for i in range(len(own))], own[-1].treatment.case
    pairs = [(case, last) for case in cases if case is not None]
    found = iter(settled(bench, pairs, "sequence without each step"))
    needed = [case is not None and is_gain(_between(next(found))) for case in cases]
    return needed + [False] * (len(steps) - len(own))


def _between(row: Sequence[Scored]) -> Recovery:
    before, after = row
    return recovery(before=before, after=after)


def suspects_steps(steps: Sequence[Step]) -> Sequence[Step]:
    """The steps that a finding asks for; those of the whole network come after them."""
    return [step for step in steps if step.suspect.code]


def _is_as_good_as_float(bench: Bench, steps: Sequence[Step]) -> bool:
    """With these steps; of figures that hold the network against float itself, any loss is one beyond noise."""
    judged = (steps[-1].after if steps else bench.base).score.task.judged
    return not bench.is_exhaustive and judged is not None and judged.loss_interval.low <= 0.0


def _everywhere(case: Case) -> Suspect:
    sites = [FindingSite(layer.name) for layer in case.network.graph.layers if layer.weight is not None]
    return Suspect("", "weight", sites, list(EVERYWHERE))


def _after(left: Sequence[tuple[Suspect, Sequence[str]]], step: Step) -> list[tuple[Suspect, Sequence[str]]]:
    """What is still to be tried: a suspect is done with one repair, the whole network with each of its own."""
    found: list[tuple[Suspect, Sequence[str]]] = []
    for suspect, repairs in left:
        if suspect is not step.suspect:
            found.append((suspect, repairs))
        elif not suspect.code:
            found.append((suspect, [name for name in repairs if name != step.repair]))
    return found


def _candidates(trials: Sequence[Trial]) -> list[str]:
    """The repairs that keep the scheme and were not refused, best first (`trials` are in that order).

    Points within noise put none before another, decibels do: few samples tell them as well as all do.
    """
    usable = [(t, t.recovery) for t in trials if t.recovery is not None and t.keeps_scheme]

    def place(row: tuple[Trial, Recovery]) -> tuple[int, bool, float]:
        trial, found = row
        count = trial.after.task.sample_count if trial.after is not None else 0
        is_ordered = is_gain(found) or math.isnan(found.recovered_db)
        return -count, not is_gain(found), 0.0 if is_ordered else -found.recovered_db

    return [trial.repair for trial, _ in sorted(usable, key=place)][:CANDIDATES_PER_SUSPECT]


def _best_step(bench: Bench, left: Sequence[tuple[Suspect, Sequence[str]]], steps: Sequence[Step]) -> Step | None:
    """The repair that gives most on top of these steps; of equals one whose checkpoint is no worse in float."""
    case, current = (steps[-1].treatment.case, steps[-1].after) if steps else (bench.case, bench.base)
    held = steps[-1].held if steps else {}
    attempts = [bench.apply(suspect, repair, case, suspect.sites) for suspect, repairs in left for repair in repairs]
    found: list[Step] = []
    stage = f"step {len(steps) + 1}"
    hopeful = (
        worth_all_samples(bench, attempts, case, stage) if steps else [a for a in attempts if _may_begin(bench, a)]
    )
    made = [(attempt, attempt.treatment) for attempt in hopeful if attempt.treatment is not None]
    for (attempt, treatment), after in zip(made, bench.score([t.case for _, t in made], stage), strict=True):
        gained = recovery(before=current, after=after)
        if is_gain(gained) or is_gain_in_db(gained):
            own = {} if treatment.moves_float else treatment.tensors
            found.append(Step(attempt.suspect, attempt.repair, treatment, after, gained, None, {**held, **own}))

    def merit(step: Step) -> tuple[bool, float, float]:
        points = step.gained.recovered_task if step.gained.has_task else 0.0
        return (is_gain(step.gained), points if is_gain(step.gained) else 0.0, step.gained.recovered_db)

    # what a step costs the float network is measured where another one may be chosen for it, best first
    best: Step | None = None
    ordered = sorted(found, key=merit, reverse=True)
    for place, step in enumerate(ordered, 1):
        if best is not None and not _recovers_as_much(step, best):
            continue
        is_alone = best is None and not any(_recovers_as_much(other, step) for other in ordered[place:])
        if is_alone and not step.treatment.moves_float and not bench.is_exhaustive:
            return step
        told = _priced(bench, step, steps)
        if costs_too_much(told.cost):
            continue
        if not _spoils_float(told):
            return told
        best = best or told
    return best


def _may_begin(bench: Bench, attempt: Attempt) -> bool:
    """Unless a few samples ruled it out where it was tried alone."""
    is_known = attempt.treatment is not None and bench.session.scored.get(attempt.treatment.case) is not None
    return is_known or not attempt.suspect.code


def _spoils_float(step: Step) -> bool:
    return step.cost is not None and step.cost.is_too_much


def _recovers_as_much(step: Step, best: Step) -> bool:
    """Up to what is small."""
    judged = best.after.score.task.judged
    if not best.gained.has_task or judged is None:
        return step.gained.recovered_db >= best.gained.recovered_db - GAIN_LIMIT_DB
    if is_gain(best.gained) and not is_gain(step.gained):
        return False
    return step.gained.recovered_task >= best.gained.recovered_task - judged.small


def _without(bench: Bench, steps: Sequence[Step], left_out: int) -> Case | None:
    """The case after all steps, one of them elsewhere or not at all; None when another cannot be made without it."""
    case = bench.case
    for i, step in enumerate(steps):
        suspect, sites = step.suspect, tuple(step.suspect.sites)
        if i == left_out:
            taken = frozenset(site.layer for site in sites)
            traits, seed = TRAITS[step.repair], bench.session.seed
            sites = placebo_sites(traits, sites, suspect.place, case, taken=taken, seed=seed)
        attempt = bench.apply(suspect, step.repair, case, sites) if sites else None
        if attempt is not None and attempt.treatment is not None:
            case = attempt.treatment.case
        elif i != left_out:
            return None
    return case
