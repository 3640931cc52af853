"""What to know before believing a verdict on harm, and what counts as a gain."""

import math

from qdiag.core.causes.harm import is_silent
from qdiag.core.causes.lost_outputs import SQNR_LIMIT_DB, lost_outputs
from qdiag.core.causes.ranking import Harm
from qdiag.core.causes.score import GAIN_LIMIT_DB, Recovery, Score
from qdiag.core.measures.task import Z_95


def harm_notes(score: Score, harm: Harm) -> tuple[str, ...]:
    """What to know before believing the verdict: nothing to judge by, or too few samples to call it healthy."""
    if not score.outputs:
        return (
            "no output is a float tensor, so what quantization costs cannot be told; let the network return logits",
        )
    if harm.criterion is None and is_silent(score):
        return ("every output of the float network is zero on these samples, which proves nothing; give other data",)
    return (*_lost_outputs(score), *_too_few(score.task.sample_count, harm))


def _lost_outputs(score: Score) -> tuple[str, ...]:
    """Outputs that the verdict does not speak of, where a figure judges one of several."""
    lost = [
        f"{o.name} ({o.weakest_sqnr_db:.1f} dB{f' at {o.weakest.name}' if o.weakest else ''})"
        for o in lost_outputs(score)
    ]
    if not lost:
        return ()
    judged = score.task.choice.output
    return (
        f"the verdict is of {judged} alone; below {SQNR_LIMIT_DB:g} dB of SQNR at other outputs: {', '.join(lost)}"
        if all(o.name != judged for o in lost_outputs(score))
        else f"the mean error need not show what is lost: below {SQNR_LIMIT_DB:g} dB of SQNR are {', '.join(lost)}",
    )


def _too_few(n: int, harm: Harm) -> tuple[str, ...]:
    needed = _samples_needed(harm)
    if harm.verdict != "healthy" or harm.criterion is None or n >= needed:
        return ()
    samples = "1 sample is" if n == 1 else f"{n} samples are"
    unit = "% of the answers" if harm.criterion.is_against_float else f"pp of {harm.criterion.name}"
    return (
        f"{samples} too few to be sure: a loss of up to {harm.interval.high:.1f} {unit} need not show; "
        f"{needed} or more could rule out {harm.limit:g}",
    )


def _samples_needed(harm: Harm) -> int:
    """The least number of samples at which no change at all puts the whole interval within the limit.

    Known for shares of samples alone; 0 for other figures, whose spread no number of samples foretells.
    """
    if harm.criterion is None or not harm.criterion.is_share or not 0.0 < harm.limit < math.inf:
        return 0
    if harm.criterion.is_against_float:  # upper end of z^2 / (n + z^2), see `wilson_interval`
        return math.ceil(Z_95 * Z_95 * (100.0 / harm.limit - 1.0))
    # half a width of z * sqrt(2) / (n + 2), see `PairedCounts.drop_interval_pp`
    return math.ceil(Z_95 * math.sqrt(2.0) / (harm.limit / 100.0)) - 2


def is_gain(recovery: Recovery) -> bool:
    """Better beyond noise."""
    return recovery.is_gain


def is_gain_in_db(recovery: Recovery) -> bool:
    """The output carries less noise, beyond noise, and the task is not worse beyond noise."""
    worse = recovery.has_task and recovery.task_interval.high < 0.0
    return recovery.recovered_db >= GAIN_LIMIT_DB and recovery.db_interval.low > 0.0 and not worse
