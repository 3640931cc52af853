"""Repairs on top of one another: the table of the papers, each row measured on top of the ones before."""

from collections.abc import Sequence
from dataclasses import dataclass

from qdiag.core.causes import Recovery, Trial, WaterfallStep
from qdiag.core.repair_names import repair_name
from qdiag.rank.harm import is_gain, is_gain_in_db
from qdiag.rank.suspects import Suspect
from qdiag.rank.trials import Bench, costs_too_much
from qdiag.repairs.base import Treatment
from qdiag.simulate.case import Case
from qdiag.simulate.scoring import Scored, recovery

MOST_STEPS = 6
"""Nobody makes more repairs than that, and each step costs a pass."""
CANDIDATES_PER_SUSPECT = 2
"""Repairs of one suspect that are tried on top: those that gave most alone."""


@dataclass(frozen=True)
class Step:
    """One step while the sequence is built; `treatment` holds the case with all steps up to this one."""

    suspect: Suspect
    repair: str
    treatment: Treatment
    after: Scored
    gained: Recovery

    def record(self) -> WaterfallStep:
        """The step as plain values."""
        return WaterfallStep(
            self.suspect.code,
            self.repair,
            self.treatment.layers,
            self.after.score,
            self.gained,
            self.treatment.settings,
        )


def build_waterfall(bench: Bench, trials: Sequence[tuple[Suspect, Sequence[Trial]]]) -> list[Step]:
    """Greedily: the repair that gives most, then the one that gives most on top of it, until none gives anything.

    Only repairs that keep the scheme. Points of accuracy (or agreement) decide; where no repair moves those, less noise
    at the output lets the sequence go on, because two faults can each hide what the repair of the other gives.
    """
    steps: list[Step] = []
    case, current = bench.case, bench.base
    left = [(suspect, _candidates(own)) for suspect, own in trials]
    while left and len(steps) < MOST_STEPS:
        best = _best_step(bench, left, case, current, len(steps) + 1)
        if best is None:
            break
        steps.append(best)
        case, current = best.treatment.case, best.after
        left = [(suspect, repairs) for suspect, repairs in left if suspect is not best.suspect]
    while steps and not is_gain(steps[-1].gained) and steps[-1].gained.pairs is not None:
        steps.pop()  # the last ones only quieted the output, and no accuracy followed
    return steps


def needed_steps(bench: Bench, steps: Sequence[Step]) -> list[bool]:
    """For each step whether the sequence loses something beyond noise without it, all others made."""
    if len(steps) < 2:
        return [is_gain(step.gained) for step in steps]
    cases: list[Case | None] = [_without(bench, steps, i) for i in range(len(steps))]
    scores = iter(bench.score([case for case in cases if case is not None], "sequence without each step"))
    last = steps[-1].after
    return [case is not None and is_gain(recovery(before=next(scores), after=last)) for case in cases]


def _candidates(trials: Sequence[Trial]) -> list[str]:
    """The repairs that keep the scheme and were not refused, best first (`trials` are in that order)."""
    usable = [t.repair for t in trials if t.recovery is not None and repair_name(t.repair).keeps_scheme]
    return usable[:CANDIDATES_PER_SUSPECT]


def _best_step(
    bench: Bench, left: Sequence[tuple[Suspect, Sequence[str]]], case: Case, current: Scored, number: int
) -> Step | None:
    attempts = [bench.apply(suspect, repair, case, suspect.sites) for suspect, repairs in left for repair in repairs]
    found: list[Step] = []
    for attempt, after, cost in bench.score_attempts(attempts, f"step {number}"):
        if attempt.treatment is None or after is None or costs_too_much(cost):
            continue
        gained = recovery(before=current, after=after)
        if is_gain(gained) or is_gain_in_db(gained):
            found.append(Step(attempt.suspect, attempt.repair, attempt.treatment, after, gained))

    def merit(step: Step) -> tuple[bool, float, float]:
        points = step.gained.recovered_pp if step.gained.pairs is not None else 0.0
        return (is_gain(step.gained), points if is_gain(step.gained) else 0.0, step.gained.recovered_db)

    return max(found, key=merit, default=None)


def _without(bench: Bench, steps: Sequence[Step], left_out: int) -> Case | None:
    """The case after all steps but one; None when another step cannot be made without it."""
    case = bench.case
    for i, step in enumerate(steps):
        if i == left_out:
            continue
        attempt = bench.apply(step.suspect, step.repair, case, step.suspect.sites)
        if attempt.treatment is None:
            return None
        case = attempt.treatment.case
    return case
