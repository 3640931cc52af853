"""Which of the repairs of a suspect is told of it, and what counts as recovered by it, on every surface."""

from qdiag.core.causes.ranking import RankedCause, Ranking, Trial
from qdiag.core.causes.score import Recovery


def best_trial(cause: RankedCause) -> Trial | None:
    """The measured repair that recovered most; None when none was measured.

    Those whose gain is proved come before others, and of these the ones that keep the scheme. Where the fault is one of
    the fused network, it is a repair of that.
    """
    measured = [trial for trial in cause.trials if trial.recovery is not None]
    measured = [trial for trial in measured if trial.first] or measured
    proved = [trial for trial in measured if trial.is_claim] or measured
    keeping = [trial for trial in proved if trial.keeps_scheme]
    return next(iter(keeping or proved), None)


def told_trial(ranking: Ranking, cause: RankedCause) -> Trial | None:
    """The best one; of changes of scheme that of which the command below is, where it is a proof as well."""
    best, way = best_trial(cause), ranking.way_around
    if best is None or best.keeps_scheme or way is None:
        return best
    return next((trial for trial in cause.trials if trial.is_claim and trial.repair == way.repair), best)


def told_recovery(trial: Trial | None) -> Recovery | None:
    """What counts for the suspect: of a change that reaches other layers too, the part that is its own."""
    if trial is None or trial.recovery is None or not trial.is_of_others:
        return trial.recovery if trial is not None else None
    return trial.over_others if trial.is_on_top else trial.own


def told_proof(ranking: Ranking, cause: RankedCause) -> tuple[Trial, Recovery] | None:
    """The repair that proves a claimed cause, and what it recovers for it.

    None where no repair alone recovered anything: what proves the cause stands in the sequence of repairs.
    """
    trial = told_trial(ranking, cause)
    recovery = told_recovery(trial)
    if trial is None or recovery is None or not (trial.is_claim or trial.is_on_top):
        return None
    return trial, recovery
