"""Which of many candidates may be the best: a few samples rule out those that cannot be, all samples choose.

Correct answers are 0 or 1, and a few of them tell little. The error at the output has many numbers in each sample, so
that it tells what a repair does to it from a few: where it grows beyond doubt, nothing is gained on all samples either.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from qdiag.core.causes.score import FloatCost, Recovery
from qdiag.core.measures.task import Interval
from qdiag.rank.bench import DOUBT, FEW, Attempt, Bench, costs_too_much
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.task.scoring import Scored, recovery

_UNHELD = 4
"""Times as many samples as in the first round there have to be where outputs are too many to be held: then candidates
that stay run twice."""


@dataclass(frozen=True)
class Few:
    """What an attempt and the case before it were on the samples that ruled it out; `cost` as in `Trial.float_cost`."""

    before: Scored
    after: Scored
    cost: FloatCost | None
    is_worse: bool


def worth_all_samples(bench: Bench, attempts: Sequence[Attempt], before: Case, stage: str) -> list[Attempt]:
    """The attempts that may be the one which gives most back over `before`; what was refused stays."""
    out = ruled_out(bench, attempts, before, stage, rivals=lambda attempt: 0)
    return [attempt for attempt in attempts if id(attempt) not in out]


def ruled_out(
    bench: Bench,
    attempts: Sequence[Attempt],
    before: Case,
    stage: str,
    *,
    rivals: Callable[[Attempt], Hashable],
    with_costs: bool = False,
) -> dict[int, Few]:
    """Attempts that few samples rule out, by their id.

    Out are those that make the error at the output larger, and those that give less back than a rival, by that error
    and by the figure that judges, both beyond doubt.

    Args:
        rivals: equal for attempts of which only the best one is wanted.
        with_costs: what an attempt costs the float network is measured too, and one that costs too much beats nobody.
    """
    count, samples, out = bench.case.measured.sample_count, FEW, dict[int, Few]()
    while not bench.is_exhaustive and samples < count:
        if bench.session.simulated.is_full and (samples > FEW or count < _UNHELD * FEW):
            break
        left = {id(a): (a, a.treatment) for a in attempts if a.treatment is not None and id(a) not in out}
        if len(left) < 2:
            break
        told, size = f"{stage}, on some samples", samples
        known = {key: cost for key, (attempt, _) in left.items() if (cost := bench.cost(attempt)) is not None}
        moving = [(key, t) for key, (_, t) in left.items() if with_costs and t.moves_float and key not in known]
        floats = {key: bench.in_float(t) for key, t in moving}
        cases = [on_some(case, size) for case in (*(t.case for _, t in left.values()), *floats.values())]
        (first,), scored = bench.score([on_some(before, size)], told), bench.score(cases, told, keeps=True)
        scores = dict(zip(left, scored[: len(left)], strict=True))
        costs = dict(known)
        for (key, treatment), one in zip(moving, scored[len(left) :], strict=True):
            costs[key] = bench.cost_on_some(treatment, one)
        gains = {key: recovery(before=first, after=score) for key, score in scores.items()}
        leaders: dict[Hashable, int] = {}
        for key in sorted(gains, key=lambda key: _merit(gains[key])):
            if costs_too_much(costs.get(key)) is None:
                leaders[rivals(left[key][0])] = key
        for key, (attempt, _) in left.items():
            leader = leaders.get(rivals(attempt), key)
            is_worse = _is_worse(gains[key])
            if is_worse or (leader != key and _is_beaten(scores[key], scores[leader])):
                out[key] = Few(first, scores[key], costs.get(key), is_worse)
        samples *= 2
    return out


def _merit(gained: Recovery) -> tuple[bool, float, float]:
    return gained.is_gain, gained.recovered_task if gained.is_gain and gained.has_task else 0.0, gained.recovered_db


def _is_worse(gained: Recovery) -> bool:
    """More noise at the output, which no gain has."""
    return _highest(gained.recovered_db, gained.db_interval) < 0.0


def _is_beaten(score: Scored, leader: Scored) -> bool:
    """More noise than with the leader, and a worse figure where one judges."""
    beside = recovery(before=leader, after=score)
    if beside.has_task and not _highest(beside.recovered_task, beside.task_interval) < 0.0:
        return False
    return _is_worse(beside)


def _highest(value: float, interval: Interval) -> float:
    return value + DOUBT * (interval.high - value)
