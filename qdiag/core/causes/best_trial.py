"""Which of the trials of a suspect is told of it, by every surface."""

from qdiag.core.causes.ranking import RankedCause, Ranking, Trial


def best_trial(cause: RankedCause) -> Trial | None:
    """The measured repair that gave back most; None when none was.

    Those whose gain is proved come before others, and of these the ones that keep the scheme. Where the fault is one of
    the fused network, it is a repair of that.
    """
    measured = [trial for trial in cause.trials if trial.recovery is not None]
    measured = [trial for trial in measured if trial.first] or measured
    proved = [trial for trial in measured if trial.is_claim] or measured
    keeping = [trial for trial in proved if trial.keeps_scheme]
    return next(iter(keeping or proved), None)


def proposed_trial(ranking: Ranking, cause: RankedCause) -> Trial | None:
    """The best one; of changes of scheme that of which the command below is, where it is a proof as well."""
    best, way = best_trial(cause), ranking.way_around
    if best is None or best.keeps_scheme or way is None:
        return best
    return next((trial for trial in cause.trials if trial.is_claim and trial.repair == way.repair), best)
