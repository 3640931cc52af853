"""Whether networks gain something over others: asked on few samples, and on more of them while these leave it open.

A gain on a part of the samples counts where it is one beyond three standard errors: then the interval of all samples,
which is shorter, is on the same side. These samples are a part of all of them, so that the difference of two networks
on all samples lies from that on a part by its standard error times the square root of the share that is not measured.
A gain is ruled out where three times that do not lift it beyond the interval that all samples will have. Fewer samples
than in the usual first round tell less of their own spread, so that four times as much is asked of them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qdiag.core.causes.score import GAIN_LIMIT_DB, Recovery
from qdiag.core.measures.task import Interval
from qdiag.rank.bench import DOUBT, FEW, Bench
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.task.scoring import Scored, recovery

FIRST = 16
"""Samples of a round before that of `FEW`, where batches are no larger."""
FIRST_DOUBT = 2.0
"""As `DOUBT`, of so few samples: to four standard errors."""
Row = tuple[Case, ...]


@dataclass(frozen=True)
class Part:
    """Some of the measured samples, and how many there are in all."""

    count: int
    whole: int

    @property
    def share(self) -> float:
        return self.count / self.whole

    @property
    def doubt(self) -> float:
        """95 % intervals are taken so many times as wide."""
        return DOUBT if self.count >= FEW else FIRST_DOUBT


def rounds(case: Case) -> Iterator[Part]:
    """The parts of its samples that are measured before all of them are, each twice the one before."""
    whole, samples = case.measured.sample_count, FIRST if case.measured.batch_size <= FIRST else FEW
    while samples < whole:
        yield Part(samples, whole)
        samples *= 2


def settled(bench: Bench, rows: Sequence[Row], stage: str) -> list[tuple[Scored, ...]]:
    """All cases of each row, on as few samples as settle whether the second one gains something over the first.

    All samples where fewer do not settle it, and where everything is measured.
    """
    found: dict[int, tuple[Scored, ...]] = {}
    for part in rounds(bench.case) if not bench.is_exhaustive else ():
        if bench.session.simulated.is_full or len(found) == len(rows):
            break
        left = [i for i in range(len(rows)) if i not in found]
        some = _on_some([rows[i] for i in left], part.count)
        scored = zip(left, _scored(bench, some, f"{stage}, on some samples"), strict=True)
        found |= {i: row for i, row in scored if is_settled(recovery(before=row[0], after=row[1]), part)}
    rest = [i for i in range(len(rows)) if i not in found]
    found |= dict(zip(rest, _scored(bench, [rows[i] for i in rest], stage), strict=True))
    return [found[i] for i in range(len(rows))]


def is_settled(gained: Recovery, part: Part) -> bool:
    """These samples leave no doubt that there is a gain, or that there is none; see `Recovery.is_gain`."""
    if is_ruled_out(gained, part):
        return True
    decibels, points = gained.recovered_db, gained.recovered_task
    if not gained.has_task:
        return lowest(decibels, gained.db_interval, part) > GAIN_LIMIT_DB
    return lowest(decibels, gained.db_interval, part) > 0.0 and lowest(points, gained.task_interval, part) > 0.0


def is_ruled_out(gained: Recovery, part: Part) -> bool:
    """These samples leave no doubt that there is no gain; see `is_settled`."""
    limit = 0.0 if gained.has_task else GAIN_LIMIT_DB
    if highest(gained.recovered_db, gained.db_interval, part) < limit:
        return True
    if not gained.has_task:
        return False
    points, interval = gained.recovered_task, gained.task_interval
    # half of the interval that all samples will have, as far as these tell
    half = math.sqrt(part.share) * min(points - interval.low, interval.high - points)
    return highest(points, interval, part) < half


def highest(value: float, interval: Interval, part: Part) -> float:
    """What the value of all samples does not exceed, beyond doubt.

    Args:
        part: what value and interval are of.
    """
    return value + part.doubt * math.sqrt(max(1.0 - part.share, 0.0)) * (interval.high - value)


def lowest(value: float, interval: Interval, part: Part) -> float:
    """The lower end of an interval of so many standard errors."""
    return value + part.doubt * (interval.low - value)


def _scored(bench: Bench, rows: Sequence[Row], stage: str) -> list[tuple[Scored, ...]]:
    """Those that were run already apart from the others, which then need not run again."""
    sides = [bench.score(cases, stage, keeps=True) for cases in zip(*rows, strict=True)]
    return list(zip(*sides, strict=True))


def _on_some(rows: Sequence[Row], samples: int) -> list[Row]:
    """Each case once, so that none is run twice."""
    cases = {id(case): case for row in rows for case in row}
    some = {key: on_some(case, samples) for key, case in cases.items()}
    return [tuple(some[id(case)] for case in row) for row in rows]
