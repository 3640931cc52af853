"""Causes that appeared, went or stayed: the same code at layers that are the same."""

import math
from collections.abc import Mapping

from qdiag.core.causes.ranking import RankedCause, Ranking
from qdiag.core.causes.score import Recovery
from qdiag.core.compare import CauseChange, CauseStatus
from qdiag.reading.told import told_recovery, told_trial

_ORDER: tuple[CauseStatus, ...] = ("appeared", "remains", "gone", "suspect")


def cause_changes(before: Ranking, after: Ranking, names: Mapping[str, str]) -> tuple[CauseChange, ...]:
    """Suspects of equal code that share a layer are one; where several do, those that share most of their layers.

    Args:
        names: name of a layer before to its name after; of one that only either network has, to the one it is part of.
    """
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
    changes = [_change(one, second[partner[i]] if i in partner else None, before, after) for i, one in enumerate(first)]
    changes += [_change(None, other, before, after) for k, other in enumerate(second) if k not in partner.values()]
    return tuple(sorted(changes, key=lambda change: _ORDER.index(change.status)))


def _overlap(before: RankedCause, after: RankedCause, names: Mapping[str, str]) -> float:
    """Share of layers that both have, of those that either has; 1 for two causes of the network as a whole."""
    first, second = ({names.get(layer, layer) for layer in cause.layers} for cause in (before, after))
    return len(first & second) / len(first | second) if first | second else 1.0


def _change(
    before: RankedCause | None, after: RankedCause | None, ranking_before: Ranking, ranking_after: Ranking
) -> CauseChange:
    either = before or after
    assert either is not None
    first, second = _recovery(before, ranking_before), _recovery(after, ranking_after)
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
        criterion_before=ranking_before.criterion,
        criterion_after=ranking_after.criterion,
    )


def _status(before: RankedCause | None, after: RankedCause | None) -> CauseStatus:
    was, is_ = (cause is not None and cause.verdict == "cause" for cause in (before, after))
    if was:
        return "remains" if is_ else "gone"
    return "appeared" if is_ else "suspect"


def _recovery(cause: RankedCause | None, ranking: Ranking) -> Recovery | None:
    """Of the repair that every surface tells of it."""
    return told_recovery(told_trial(ranking, cause)) if cause is not None else None
