"""What to know before believing a verdict on harm, and what counts as a gain."""

import math

from qdiag.core.causes.lost_outputs import SQNR_LIMIT_DB, lost_outputs
from qdiag.core.causes.ranking import Harm
from qdiag.core.causes.score import GAIN_LIMIT_DB, Recovery, Score
from qdiag.core.listed import listed
from qdiag.core.measures.counts import counts_figure
from qdiag.core.measures.task import Figure, PairedCounts

_SAMPLES_AT_MOST = 10_000_000
"""More are not asked for."""


def harm_notes(score: Score, harm: Harm) -> tuple[str, ...]:
    """What to know before believing the verdict: nothing to judge by, or too few samples to call it healthy."""
    if not score.outputs:
        return (
            "no output is a float tensor, so what quantization costs cannot be told; let the network return logits",
        )
    if score.is_silent:
        return ("every output of the float network is zero on these samples, which proves nothing; give other data",)
    return (*_silent_outputs(score), *_lost_outputs(score), *_too_few(score, harm))


def _silent_outputs(score: Score) -> tuple[str, ...]:
    """Outputs without a signal beside others that have one."""
    silent = [output.name for output in score.outputs if output.is_silent]
    if not silent:
        return ()
    where = f"output {silent[0]} is" if len(silent) == 1 else f"outputs {listed(silent, 3)} are"
    return (f"the float {where} zero everywhere on these samples: what quantization costs there is not known",)


def _lost_outputs(score: Score) -> tuple[str, ...]:
    """Outputs that the verdict does not speak of, where a figure judges one of several."""
    lost = [
        f"{o.name} ({o.weakest_sqnr_db:.1f} dB{f' at {o.weakest.name}' if o.weakest else ''})"
        for o in lost_outputs(score)
    ]
    if not lost:
        return ()
    judged = score.task.choice.output
    limit, places = f"{SQNR_LIMIT_DB:g} dB of SQNR", ", ".join(lost)
    return (
        f"the verdict is of {judged} alone; below {limit} at other outputs: {places}"
        if all(o.name != judged for o in lost_outputs(score))
        else f"the mean error can hide what a part of an output loses; these have less than {limit}: {places}",
    )


def _too_few(score: Score, harm: Harm) -> tuple[str, ...]:
    if harm.verdict != "healthy" or harm.criterion is None or harm.state == "healthy":
        return ()
    n, criterion = score.task.sample_count, harm.criterion
    samples = "1 sample is" if n == 1 else f"{n} samples are"
    most = f"{harm.interval.high:.1f}" if criterion.is_share else f"{harm.interval.high:.3g}"
    of_answers = criterion.is_against_float and criterion.is_share
    unit = " %" if of_answers else f" {criterion.change_unit}".rstrip()
    size = f"{most}{unit} of {'the answers' if of_answers else criterion.name}"
    needed = _samples_needed(score, harm)
    more = f"; {needed:,} or more could rule out a loss of {harm.limit:.3g}{unit}" if needed is not None else ""
    return (f"{samples} too few to be sure: a loss of up to {size} need not show{more}",)


def _samples_needed(score: Score, harm: Harm) -> int | None:
    """The least number of samples at which the interval of the same loss lies within the limit; None without one."""
    judged, n = score.task.judged, score.task.sample_count
    limit = harm.limit * (1.0 + 1e-9)
    if judged is None or not _high(judged, n, _SAMPLES_AT_MOST) <= limit:
        return None
    low, high = n, _SAMPLES_AT_MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _high(judged, n, middle) <= limit else (middle, high)
    return high


def _high(figure: Figure, n: int, count: int) -> float:
    """Upper end of the interval of the loss, if `count` samples in all fared as the n that were measured.

    The half width of the interval of a mean, or of an aggregate by the bootstrap, shrinks with the square root of the
    samples; that of counts is computed anew.
    """
    counts, factor = figure.counts, count / n
    if counts is None:
        return figure.loss + (figure.loss_interval.high - figure.loss) / math.sqrt(factor)
    lost, won, neither = (round(x * factor) for x in (counts.reference_only, counts.simulated_only, counts.neither))
    grown = PairedCounts(max(count - lost - won - neither, 0), lost, won, neither)
    return counts_figure(figure.criterion, grown).loss_interval.high


def is_gain(recovery: Recovery) -> bool:
    """Better beyond noise."""
    return recovery.is_gain


def is_gain_in_db(recovery: Recovery) -> bool:
    """The output carries less noise, beyond noise, and the task is not worse beyond noise."""
    worse = recovery.has_task and recovery.task_interval.high < 0.0
    return recovery.recovered_db >= GAIN_LIMIT_DB and recovery.db_interval.low > 0.0 and not worse
