"""Causes that appeared, went or stayed: the same code at layers that are the same."""

import math
from collections.abc import Mapping

from qdiag.core.causes.ranking import RankedCause, Ranking
from qdiag.core.causes.score import Recovery
from qdiag.core.compare import CauseChange, CauseStatus
from qdiag.core.measures.task import Criterion, Interval

_ORDER: tuple[CauseStatus, ...] = ("appeared", "remains", "gone", "suspect")


def cause_changes(before: Ranking, after: Ranking, names: Mapping[str, str]) -> tuple[CauseChange, ...]:
    """Suspects of equal code that share a layer are one; where several do, those that share most of their layers.

    Args:
        names: name of a layer before to its name after; of one that only either network has, to the one it is part of.
    """
    criteria = before.criterion, after.criterion
    first, second = before.causes, after.causes
    shared = [
        (_overlap(one, other, names), i, k)
        for i, one in enumerate(first)
        for k, other in enumerate(second)
        if one.code == other.code
    ]
    partner: dict[int, int] = {}
    for overlap, i, k in sorted(shared, key=lambda row: (-row[0], row[1], row[2])):
        if overlap > 0.0 and i not in partner and k not in partner.values():
            partner[i] = k
    changes = [_change(one, second[partner[i]] if i in partner else None, criteria) for i, one in enumerate(first)]
    changes += [_change(None, other, criteria) for k, other in enumerate(second) if k not in partner.values()]
    return tuple(sorted(changes, key=lambda change: _ORDER.index(change.status)))


def _overlap(before: RankedCause, after: RankedCause, names: Mapping[str, str]) -> float:
    """Share of layers that both have, of those that either has; 1 for two causes of the network as a whole."""
    first, second = ({names.get(layer, layer) for layer in cause.layers} for cause in (before, after))
    return len(first & second) / len(first | second) if first | second else 1.0


def _change(
    before: RankedCause | None, after: RankedCause | None, criteria: tuple[Criterion | None, Criterion | None]
) -> CauseChange:
    either = before or after
    assert either is not None
    first, second = _recovery(before), _recovery(after)
    return CauseChange(
        status=_status(before, after),
        code=either.code,
        layers_before=before.layers if before else (),
        layers_after=after.layers if after else (),
        verdict_before=before.verdict if before else None,
        verdict_after=after.verdict if after else None,
        recovered_before=first.recovered_task if first else math.nan,
        recovered_after=second.recovered_task if second else math.nan,
        recovered_before_db=first.recovered_db if first else math.nan,
        recovered_after_db=second.recovered_db if second else math.nan,
        criterion_before=criteria[0],
        criterion_after=criteria[1],
    )


def _status(before: RankedCause | None, after: RankedCause | None) -> CauseStatus:
    was, is_ = (cause is not None and cause.verdict == "cause" for cause in (before, after))
    if was:
        return "remains" if is_ else "gone"
    return "appeared" if is_ else "suspect"


def _recovery(cause: RankedCause | None) -> Recovery | None:
    """Of the first repair that gave back something beyond noise, in the order of the trials; else the largest.

    Trials that keep the scheme come first, so that a way around is named only where nothing else helped.
    """
    recoveries = [trial.recovery for trial in cause.trials if trial.recovery is not None] if cause else []
    proved = [recovery for recovery in recoveries if _interval(recovery).low > 0.0]
    return proved[0] if proved else max(recoveries, key=_size, default=None)


def _interval(recovery: Recovery) -> Interval:
    return recovery.task_interval if recovery.has_task else recovery.db_interval


def _size(recovery: Recovery) -> float:
    size = recovery.recovered_task if recovery.has_task else recovery.recovered_db
    return -math.inf if math.isnan(size) else size
