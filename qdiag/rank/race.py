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
"""Samples of the first round; each round after it has twice as many, those before among them."""
_DOUBT = 1.5
"""95 % intervals are taken so many times as wide: to three standard errors."""
_UNHELD = 4
"""Times as many samples as in the first round there have to be where outputs are too many to be held: then candidates
that stay run twice."""


def worth_all_samples(bench: Bench, attempts: Sequence[Attempt], before: Case, stage: str) -> list[Attempt]:
    """The attempts that may be the one which gives most back over `before`.

    Left out are those that make the error at the output larger, and those that give less back than another one, by that
    error and by the figure that judges, both beyond doubt. What was refused stays.
    """
    count, samples, left = bench.case.measured.sample_count, FEW, list(attempts)
    while not bench.is_exhaustive and samples < count:
        if bench.session.simulated.is_full and (samples > FEW or count < _UNHELD * FEW):
            break
        cases = {id(a): on_some(a.treatment.case, samples) for a in left if a.treatment is not None}
        if len(cases) < 2:
            break
        told = f"{stage}, on some samples"
        first, *scores = bench.score([on_some(before, samples)], told) + bench.score(
            list(cases.values()), told, keeps=True
        )
        gains = [recovery(before=first, after=score) for score in scores]
        leader = scores[max(range(len(gains)), key=lambda i: _merit(gains[i]))]
        out = {
            key
            for key, score, gained in zip(cases, scores, gains, strict=True)
            if _is_worse(gained) or (score is not leader and _is_beaten(score, leader))
        }
        left = [attempt for attempt in left if id(attempt) not in out]
        samples *= 2
    return left


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
