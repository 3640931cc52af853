"""The changes of scheme that a ranking measured, as every report lists them."""

import math

from qdiag.core.causes.ranking import Ranking, Trial


def scheme_changes(ranking: Ranking) -> tuple[Trial, ...]:
    """For the whole network and at the layers of suspects, each once, the one that gave back most first.

    Refused ones are left out: they stand with the cause that they were tried for.
    """
    own = [trial for cause in ranking.causes for trial in cause.trials if not (trial.keeps_scheme or trial.first)]
    best = [ranking.way_around] if ranking.way_around else []
    first: dict[object, Trial] = {}
    for trial in (*best, *ranking.ways_around, *own):
        if trial.recovery is not None:
            first.setdefault((trial.repair, trial.layers), trial)
    return tuple(sorted(first.values(), key=_gain, reverse=True))


def _gain(trial: Trial) -> float:
    recovered = trial.recovery.recovered_db if trial.recovery else math.nan
    return -math.inf if math.isnan(recovered) else recovered
