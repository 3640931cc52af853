"""The change of scheme that is proposed: the one that recovers most, and no larger than that needs."""

from collections.abc import Sequence

from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.ranking import HarmState, Trial
from qdiag.core.causes.score import GAIN_LIMIT_DB

_STATES: tuple[HarmState, ...] = ("healthy", "unsure", "harmed")


def way_around(whole: Sequence[Trial], parts: Sequence[Trial]) -> Trial | None:
    """The change of scheme that recovers most; the best of several that recover nothing is none.

    A change of the whole network, which is one setting, is preferred to others at some layers that recover no more than
    a little more. But where the same change at some layers alone recovers as much, but for what is small, and leaves
    the network no worse, that one is taken: it costs less.

    Args:
        whole: changes for the whole network, one setting each. parts: the suspects' own.
    """
    one, other = (
        max((t for t in trials if not t.keeps_scheme and t.helps), key=_merit, default=None)
        for trials in (whole, parts)
    )
    if one is None or other is None:
        return one or other
    if _merit(one)[0] < _merit(other)[0] - _small(one):
        return other
    smaller = [trial for trial in parts if _is_enough(trial, one)]
    return min(smaller, key=lambda trial: (len(trial.layers), *(-value for value in _merit(trial))), default=one)


def _is_enough(part: Trial, whole: Trial) -> bool:
    """The same change at fewer layers that recovers as much, but for what is small, and leaves no more harm."""
    if part.repair != whole.repair or not part.helps or len(part.layers) >= len(whole.layers):
        return False
    points, decibels = (ours - theirs for ours, theirs in zip(_merit(part), _merit(whole), strict=True))
    has_task = whole.recovery is not None and whole.recovery.has_task
    return _state(part) <= _state(whole) and (points >= -_small(whole) if has_task else decibels >= -GAIN_LIMIT_DB)


def _merit(trial: Trial) -> tuple[float, float]:
    """What it recovers of the task, 0 where that is not judged, and in dB."""
    assert trial.recovery is not None
    points = round(trial.recovery.recovered_task, 9) if trial.recovery.has_task else 0.0
    return points, trial.recovery.recovered_db


def _small(trial: Trial) -> float:
    judged = trial.after.task.judged if trial.after is not None else None
    return judged.small if judged is not None else 0.0


def _state(trial: Trial) -> int:
    return _STATES.index(harm_of(trial.after).state) if trial.after is not None else len(_STATES)
