"""Whether networks gain something over others: asked on few samples, and on more of them while these leave it open.

A gain on a part of the samples counts where it is one beyond three standard errors: then the interval of all samples,
which is shorter, is on the same side. These samples are a part of all of them, so that the difference of two networks
on all samples lies from that on a part by its standard error times the square root of the share that is not measured.
A gain is ruled out where three times that do not lift it beyond the interval that all samples will have.
"""

import math
from collections.abc import Sequence

from qdiag.core.causes.score import GAIN_LIMIT_DB, Recovery
from qdiag.core.measures.task import Interval
from qdiag.rank.bench import DOUBT, FEW, Bench
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.task.scoring import Scored, recovery

Row = tuple[Case, ...]


def settled(bench: Bench, rows: Sequence[Row], stage: str) -> list[tuple[Scored, ...]]:
    """All cases of each row, on as few samples as settle whether the second one gains something over the first.

    All samples where fewer do not settle it, and where everything is measured.
    """
    found: dict[int, tuple[Scored, ...]] = {}
    count, samples = bench.case.measured.sample_count, FEW
    while not bench.is_exhaustive and samples < count and len(found) < len(rows):
        if not bench.has_room():
            break
        left = [i for i in range(len(rows)) if i not in found]
        some = _on_some([rows[i] for i in left], samples)
        scored = zip(left, _scored(bench, some, f"{stage}, on some samples"), strict=True)
        share = samples / count
        found |= {i: row for i, row in scored if is_settled(recovery(before=row[0], after=row[1]), share)}
        samples *= 2
    rest = [i for i in range(len(rows)) if i not in found]
    found |= dict(zip(rest, _scored(bench, [rows[i] for i in rest], stage), strict=True))
    return [found[i] for i in range(len(rows))]


def is_settled(gained: Recovery, share: float) -> bool:
    """These samples leave no doubt that there is a gain, or that there is none; see `Recovery.is_gain`.

    Args:
        share: of all samples, those that this was measured on.
    """
    if is_ruled_out(gained, share):
        return True
    decibels, points = gained.recovered_db, gained.recovered_task
    if not gained.has_task:
        return lowest(decibels, gained.db_interval) > GAIN_LIMIT_DB
    return lowest(decibels, gained.db_interval) > 0.0 and lowest(points, gained.task_interval) > 0.0


def is_ruled_out(gained: Recovery, share: float) -> bool:
    """These samples leave no doubt that there is no gain; see `is_settled`."""
    limit = 0.0 if gained.has_task else GAIN_LIMIT_DB
    if highest(gained.recovered_db, gained.db_interval, share) < limit:
        return True
    if not gained.has_task:
        return False
    points, interval = gained.recovered_task, gained.task_interval
    # half of the interval that all samples will have, as far as these tell
    half = math.sqrt(share) * min(points - interval.low, interval.high - points)
    return highest(points, interval, share) < half


def highest(value: float, interval: Interval, share: float) -> float:
    """What the value of all samples does not exceed, to three standard errors.

    Args:
        share: of all samples, those that value and interval are of.
    """
    return value + DOUBT * math.sqrt(max(1.0 - share, 0.0)) * (interval.high - value)


def lowest(value: float, interval: Interval) -> float:
    """The lower end of an interval of three standard errors."""
    return value + DOUBT * (interval.low - value)


def _scored(bench: Bench, rows: Sequence[Row], stage: str) -> list[tuple[Scored, ...]]:
    """Those that were run already apart from the others, which then need not run again."""
    sides = [bench.score(cases, stage, keeps=True) for cases in zip(*rows, strict=True)]
    return list(zip(*sides, strict=True))


def _on_some(rows: Sequence[Row], samples: int) -> list[Row]:
    """Each case once, so that none is run twice."""
    cases = {id(case): case for row in rows for case in row}
    some = {key: on_some(case, samples) for key, case in cases.items()}
    return [tuple(some[id(case)] for case in row) for row in rows]
