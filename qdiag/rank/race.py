"""Which of many candidates may be the best: a few samples rule out those that cannot be, all samples choose.

Correct answers are 0 or 1, and a few of them tell little. The error at the output has many numbers in each sample, so
that it tells what a repair does to it from a few: where it grows beyond doubt, nothing is gained on all samples either.
"""

from collections.abc import Sequence

from qdiag.core.causes.score import Recovery
from qdiag.core.measures.task import Interval
from qdiag.rank.bench import Attempt, Bench
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.task.scoring import Scored, recovery

FEW = 32
"""Samples that rule candidates out. There have to be four times as many in all, since those that stay run twice."""
_DOUBT = 2.0
"""95 % intervals are taken so many times as wide: to four standard errors."""


def worth_all_samples(bench: Bench, attempts: Sequence[Attempt], before: Case, stage: str) -> list[Attempt]:
    """The attempts that may be the one which gives most back over `before`.

    Left out are those that make the error at the output larger, and those that give less back than another one, by that
    error and by the figure that judges, both beyond doubt. What was refused stays.
    """
    made = [attempt for attempt in attempts if attempt.treatment is not None]
    if bench.is_exhaustive or len(made) < 2 or bench.case.measured.sample_count < 4 * FEW:
        return list(attempts)
    cases = [on_some(attempt.treatment.case, FEW) for attempt in made if attempt.treatment is not None]
    first, *scores = bench.score([on_some(before, FEW), *cases], f"{stage}, on some samples")
    gains = [recovery(before=first, after=score) for score in scores]
    leader = scores[max(range(len(gains)), key=lambda i: _merit(gains[i]))]
    out = {
        id(attempt)
        for attempt, score, gained in zip(made, scores, gains, strict=True)
        if _is_worse(gained) or (score is not leader and _is_beaten(score, leader))
    }
    return [attempt for attempt in attempts if id(attempt) not in out]


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
    return value + _DOUBT * (interval.high - value)
