"""Whether networks gain something over others: asked on few samples, and on more of them while these leave it open.

A gain on a part of the samples, or none, counts where it is so beyond three standard errors: then the interval of all
samples, which is shorter, is on the same side.
"""

from collections.abc import Sequence

from qdiag.core.causes.score import GAIN_LIMIT_DB, Recovery
from qdiag.core.measures.task import Interval
from qdiag.rank.bench import DOUBT, FEW, Bench
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.task.scoring import Scored, recovery

_FIRST = 2 * FEW
"""Samples of the first round: on fewer, the interval of right and wrong answers is too long to leave much out."""
Pair = tuple[Case, Case]


def settled(bench: Bench, pairs: Sequence[Pair], stage: str) -> list[tuple[Scored, Scored]]:
    """Both cases of each pair, on as few samples as settle whether the second one gains something over the first.

    All samples where fewer do not settle it, and where everything is measured.
    """
    found: dict[int, tuple[Scored, Scored]] = {}
    count, samples = bench.case.measured.sample_count, _FIRST
    while not bench.is_exhaustive and samples < count and len(found) < len(pairs):
        if bench.session.simulated.is_full:
            break
        left = [i for i in range(len(pairs)) if i not in found]
        some = _on_some([pairs[i] for i in left], samples)
        rows = zip(left, _scored(bench, some, f"{stage}, on some samples"), strict=True)
        found |= {i: row for i, row in rows if is_settled(recovery(before=row[0], after=row[1]))}
        samples *= 2
    rest = [i for i in range(len(pairs)) if i not in found]
    found |= dict(zip(rest, _scored(bench, [pairs[i] for i in rest], stage), strict=True))
    return [found[i] for i in range(len(pairs))]


def is_settled(gained: Recovery) -> bool:
    """These samples leave no doubt that there is a gain, or that there is none; see `Recovery.is_gain`."""
    decibels, limit = gained.recovered_db, 0.0 if gained.has_task else GAIN_LIMIT_DB
    if highest(decibels, gained.db_interval) < limit:
        return True
    if not gained.has_task:
        return lowest(decibels, gained.db_interval) > limit
    points = gained.recovered_task
    is_gain = lowest(decibels, gained.db_interval) > 0.0 and lowest(points, gained.task_interval) > 0.0
    return is_gain or highest(points, gained.task_interval) < 0.0


def highest(value: float, interval: Interval) -> float:
    """The upper end of an interval of three standard errors."""
    return value + DOUBT * (interval.high - value)


def lowest(value: float, interval: Interval) -> float:
    """The lower end of an interval of three standard errors."""
    return value + DOUBT * (interval.low - value)


def _scored(bench: Bench, pairs: Sequence[Pair], stage: str) -> list[tuple[Scored, Scored]]:
    """Those that were run already apart from the others, which then need not run again."""
    sides = [bench.score(cases, stage, keeps=True) for cases in zip(*pairs, strict=True)]
    return list(zip(*sides, strict=True))


def _on_some(pairs: Sequence[Pair], samples: int) -> list[Pair]:
    """Each case once, so that none is run twice."""
    cases = {id(case): case for pair in pairs for case in pair}
    some = {key: on_some(case, samples) for key, case in cases.items()}
    return [(some[id(before)], some[id(after)]) for before, after in pairs]
