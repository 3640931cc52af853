"""Which of many candidates may be the best: a few samples rule out those that cannot be, all samples choose.

Correct answers are 0 or 1, and a few of them tell little. The error at the output has many numbers in each sample, so
that it tells what a repair does to it from a few: where it grows beyond doubt, nothing is gained on all samples either.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.core.causes.score import GAIN_LIMIT_DB, FloatCost, Recovery
from qdiag.rank.bench import FEW, Attempt, Bench, costs_too_much
from qdiag.rank.settled import highest, is_ruled_out, is_settled
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.task.scoring import Scored, recovery

_UNHELD = 4
"""Times as many samples as in the first round there have to be where outputs are too many to be held: then candidates
that stay run twice."""

MARGIN_DB = 0.5
"""Of two repairs, the one with so much more noise at the output beyond doubt, which leaves harm, is not the better one
unless the figure that judges says so."""
Reason = Literal["worse", "beaten", "equal", "hopeless", "vain"]

_FEW: dict[Reason, str] = {
    "worse": "{} of {} samples ruled it out",
    "beaten": "{} of {} samples ruled it out",
    "equal": "on {} of {} samples its outputs are those of another repair of these layers",
    "hopeless": "measured on {} of {} samples: float at these layers recovers nothing",
    "vain": "{} of {} samples ruled it out",
}


@dataclass(frozen=True)
class Few:
    """What an attempt and the case before it were on the samples that ruled it out; `cost` as in `Trial.float_cost`.

    Attributes:
        reason: it makes the error at the output larger; it gives less back than a rival; it gives the very outputs of
            a rival, `twin` by its id; float at its layers gains nothing either; it gains nothing on top of others.
    """

    before: Scored
    after: Scored
    cost: FloatCost | None
    reason: Reason
    twin: int | None = None


def few_words(few: Few, count: int) -> str:
    """Why it was not measured on all samples, which are `count`."""
    return _FEW[few.reason].format(few.after.score.task.sample_count, count)


def worth_all_samples(bench: Bench, attempts: Sequence[Attempt], before: Case, stage: str) -> list[Attempt]:
    """The attempts that may be the one which gives most back over `before`; what was refused stays."""
    out = ruled_out(bench, attempts, before, stage, rivals=lambda attempt: 0, for_gains=True)
    return [attempt for attempt in attempts if id(attempt) not in out]


def ruled_out(
    bench: Bench,
    attempts: Sequence[Attempt],
    before: Case,
    stage: str,
    *,
    rivals: Callable[[Attempt], Hashable],
    with_costs: bool = False,
    for_gains: bool = False,
) -> dict[int, Few]:
    """Attempts that few samples rule out, by their id.

    Out are those that make the error at the output larger, and those that give less back than a rival, by that error
    and by the figure that judges, both beyond doubt, or by much of that error where the figure says no better; and
    those that give the very outputs of a rival.

    Args:
        rivals: equal for attempts of which only the best one is wanted.
        with_costs: for trials alone: what an attempt costs the float network is measured too, and one that costs too
            much beats nobody; and out are those at layers that gain nothing in float, which all samples tell.
        for_gains: only what gains something is wanted, be it less noise: out is what does not.
    """
    count, samples, out = bench.case.measured.sample_count, FEW, dict[int, Few]()
    while not bench.is_exhaustive and samples < count:
        if not bench.has_room() and (samples > FEW or count < _UNHELD * FEW):
            break
        left = {id(a): (a, a.treatment) for a in attempts if a.treatment is not None and id(a) not in out}
        if len(left) < (1 if for_gains else 2):
            break
        told, size, share = f"{stage}, on some samples", samples, samples / count
        known = {key: cost for key, (attempt, _) in left.items() if (cost := bench.cost(attempt)) is not None}
        moving = [(key, t) for key, (_, t) in left.items() if with_costs and t.moves_float and key not in known]
        floats = {key: bench.in_float(t) for key, t in moving}
        cases = [on_some(case, size) for case in (*(t.case for _, t in left.values()), *floats.values())]
        (first,), scored = bench.score([on_some(before, size)], told), _scored(bench, cases, told)
        scores = dict(zip(left, scored[: len(left)], strict=True))
        costs = dict(known)
        for (key, treatment), one in zip(moving, scored[len(left) :], strict=True):
            costs[key] = bench.cost_on_some(treatment, one)
        gains = {key: recovery(before=first, after=score) for key, score in scores.items()}
        order = sorted(gains, key=lambda key: _merit(gains[key]), reverse=True)
        ahead: dict[Hashable, list[int]] = {}
        reasons, twins = dict[int, Reason](), dict[int, int]()
        for key in order:
            own = ahead.setdefault(rivals(left[key][0]), [])
            # one that writes tensors may turn out to cost the float network too much: then the next one takes its place
            is_sure = not for_gains or not own or not left[own[0]][1].tensors
            reason = _reason(gains[key], scores[key], scores[own[0]] if own else None, share, is_sure=is_sure)
            twin = next((other for other in own if _is_equal(scores[key], scores[other])), None)
            if reason is None and twin is not None:
                reason, twins[key] = "equal", twin
            if reason is None and for_gains and _is_vain(gains[key], share):
                reason = "vain"
            if reason is not None:
                reasons[key] = reason
            if costs_too_much(costs.get(key)) is None:
                own.append(key)
        if with_costs and samples == FEW:
            rows = [(attempt, gains[key], reasons.get(key)) for key, (attempt, _) in left.items()]
            reasons |= dict.fromkeys(_hopeless(bench, rows, before, share), "hopeless")
        for key, reason in reasons.items():
            out[key] = Few(first, scores[key], costs.get(key), reason, twins.get(key))
        samples *= 2
    return out


def _hopeless(
    bench: Bench, rows: Sequence[tuple[Attempt, Recovery, Reason | None]], before: Case, share: float
) -> list[int]:
    """Attempts at the layers of a suspect that gains nothing with these layers in float, which all samples tell.

    That is the most that a repair of them can recover which leaves no less noise at the output: what they hand on is
    quantized as before. Suspects of which an attempt gains beyond doubt are left alone.

    Args:
        rows: attempts, what they gain on a few samples, and why these rule them out.
    """
    known = {id(a.suspect) for a, gained, _ in rows if gained.is_gain and is_settled(gained, share)}
    in_float = [(a, reason) for a, _, reason in rows if TRAITS[a.repair].leaves_float and id(a.suspect) not in known]
    noise = {id(a): gained.recovered_db for a, gained, _ in rows}
    left = [a for a, _, reason in rows if reason is None]
    others = {
        id(f): [
            a for a in left if a.suspect is f.suspect and a is not f and not noise[id(a)] > noise[id(f)] + MARGIN_DB
        ]
        for f, _ in in_float
    }
    asked = [(f, f.treatment.case) for f, reason in in_float if f.treatment and reason is None and others[id(f)]]
    (base,), found = bench.score([before], "repairs"), bench.score([case for _, case in asked], "repairs", keeps=True)
    vain = [f for f, reason in in_float if reason == "worse"]
    vain += [f for (f, _), one in zip(asked, found, strict=True) if not recovery(before=base, after=one).is_gain]
    return [id(attempt) for f in vain for attempt in others[id(f)]]


def _scored(bench: Bench, cases: Sequence[Case], stage: str) -> list[Scored]:
    """On some samples; those that were run on all of them apart from the others, so that they do not run again."""
    is_known = [bench.is_run(case) for case in cases]
    for known in (True, False):
        bench.score([case for case, one in zip(cases, is_known, strict=True) if one is known], stage, keeps=True)
    return bench.score(cases, stage)


def _merit(gained: Recovery) -> tuple[bool, float, float]:
    return gained.is_gain, gained.recovered_task if gained.is_gain and gained.has_task else 0.0, gained.recovered_db


def _is_worse(gained: Recovery, share: float) -> bool:
    """More noise at the output, which no gain has."""
    return highest(gained.recovered_db, gained.db_interval, share) < 0.0


def _is_vain(gained: Recovery, share: float) -> bool:
    """No gain, and not as much less noise as would be one."""
    return is_ruled_out(gained, share) and highest(gained.recovered_db, gained.db_interval, share) < GAIN_LIMIT_DB


def _reason(gained: Recovery, score: Scored, leader: Scored | None, share: float, *, is_sure: bool) -> Reason | None:
    """Why an attempt is out beside the one that gives most; None where it is not."""
    if _is_worse(gained, share):
        return "worse"
    if leader is None:
        return None
    return "beaten" if (_is_beaten if is_sure else _is_far_behind)(score, leader, share) else None


def _is_beaten(score: Scored, leader: Scored, share: float) -> bool:
    """More noise than with the leader, and a worse figure where one judges; with much more noise and harm that is left,
    no better one: where both leave none, noise does not tell which is better.
    """
    beside = recovery(before=leader, after=score)
    is_much = beside.has_task and highest(beside.recovered_db, beside.db_interval, share) < -MARGIN_DB
    if is_much and not beside.recovered_task > 0.0 and harm_of(score.score).verdict == "harmed":
        return True
    if beside.has_task and not highest(beside.recovered_task, beside.task_interval, share) < 0.0:
        return False
    return _is_worse(beside, share)


def _is_far_behind(score: Scored, leader: Scored, share: float) -> bool:
    """By more than what a repair may give up to leave the float network as good."""
    beside, judged = recovery(before=leader, after=score), leader.score.task.judged
    if beside.has_task and judged is not None:
        return highest(beside.recovered_task, beside.task_interval, share) < -judged.small
    return highest(beside.recovered_db, beside.db_interval, share) < -GAIN_LIMIT_DB


def _is_equal(score: Scored, leader: Scored) -> bool:
    """The same noise and answers in each sample: two ways to the same network."""
    one, other = score.tables, leader.tables
    if one is None or other is None or not np.array_equal(one[1], other[1], equal_nan=True):
        return False
    noise = leader.noise
    return score.noise.keys() == noise.keys() and all(np.array_equal(x, noise[at]) for at, x in score.noise.items())
