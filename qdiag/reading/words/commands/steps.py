"""Repairs that were proved, in the order in which they are made."""

from collections.abc import Sequence
from dataclasses import dataclass

from qdiag.core.causes.ranking import RankedCause, Ranking, Trial
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.core.causes.score import GAIN_LIMIT_DB, FloatCost


@dataclass(frozen=True)
class Step:
    """A repair; without layers it is of the whole network."""

    repair: str
    settings: tuple[str, ...]
    layers: tuple[str, ...]
    cost: FloatCost | None


def steps_of(ranking: Ranking) -> list[Step]:
    """Those of the sequence, where it recovered something; else the best proved repair of each claimed cause."""
    if ranking.waterfall and ranking.regained > 0.0:
        return [Step(s.repair, s.settings, s.layers if s.code else (), s.float_cost) for s in ranking.waterfall]
    trials = [_first_proved(cause) for cause in ranking.claimed]
    return list(dict.fromkeys(Step(t.repair, t.settings, t.layers, t.float_cost) for t in trials if t is not None))


def last_ones_last(steps: Sequence[Step]) -> list[Step]:
    """Repairs that fit the rounding of the weights as they then are come after the others, each once."""
    last: dict[str, list[Step]] = {}
    for step in steps:
        if step.repair in TRAITS and TRAITS[step.repair].must_be_last:
            last.setdefault(step.repair, []).append(step)
    merged: list[Step] = [step for step in steps if step.repair not in last]
    for name, same in last.items():
        layers = tuple(dict.fromkeys(layer for step in same for layer in step.layers))
        merged.append(Step(name, (), layers if all(step.layers for step in same) else (), same[-1].cost))
    return merged


def _first_proved(cause: RankedCause) -> Trial | None:
    """The repair that recovered most; of equals one whose checkpoint is no worse in float."""
    proved = [t for t in cause.trials if t.is_claim and t.keeps_scheme]
    sound = [t for t in proved if t.float_cost is None or not t.float_cost.is_too_much]
    return next((t for t in sound if _is_as_good(t, proved[0])), proved[0] if proved else None)


def _is_as_good(trial: Trial, best: Trial) -> bool:
    """Up to what is small."""
    own, most, judged = trial.recovery, best.recovery, best.after.task.judged if best.after is not None else None
    if own is None or most is None:
        return False
    if judged is None or not most.has_task:
        return own.recovered_db >= most.recovered_db - GAIN_LIMIT_DB
    return own.recovered_task >= most.recovered_task - judged.small
