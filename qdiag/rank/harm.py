"""Whether quantization costs anything at all: without harm there is nothing to explain."""

import math

from qdiag.core.causes import Harm, HarmVerdict, Recovery, Score
from qdiag.core.task import Interval, PairedCounts

DROP_LIMIT_PP = 1.0
"""A drop up to this is not worth a repair: what users call healthy, and the usual limit of a gate."""
FLIPS_LIMIT_PERCENT = 5.0
"""Top-1 that changes where there are no labels. Healthy 8-bit networks flip 1 to 4 % of their answers, nearly all of
them close calls that were as often wrong before."""
SQNR_LIMIT_DB = 20.0
"""Noise of a tenth of the signal's amplitude at the output, for networks without logits."""
GAIN_LIMIT_DB = 1.0
"""A repair that gives back less than this at the output has not removed a cause."""


def harm_of(score: Score) -> Harm:
    """Drop of accuracy where there are labels, flips of top-1 where there are logits, output SQNR otherwise.

    Harmed: the figure passes its limit and its 95 % interval excludes no harm at all. Undecided: it passes the limit,
    but the samples are too few to tell. NaN counts as harm: a network that answers NaN has lost everything.
    """
    top1 = score.task.top1
    if top1 is not None:
        return _judged("drop", top1.drop_pp, top1.drop_interval_pp, DROP_LIMIT_PP)
    n = score.task.sample_count
    if score.task.agreement_count is not None and n:
        flipped = n - score.task.agreement_count
        counts = PairedCounts(n - flipped, flipped, 0, 0)
        return _judged("flips", counts.drop_pp, _flips_interval(flipped, n), FLIPS_LIMIT_PERCENT)
    sqnr = score.output_sqnr_db
    verdict: HarmVerdict = "healthy" if sqnr >= SQNR_LIMIT_DB else "harmed"
    return Harm("sqnr", sqnr, Interval(sqnr, sqnr), SQNR_LIMIT_DB, verdict)


def is_gain(recovery: Recovery) -> bool:
    """Better beyond noise: in samples and in dB where there is a task, in dB at the output otherwise.

    Samples alone do not do: among answers that are noise anyway, any change makes some right by chance, and the others
    that become wrong by chance are fewer when few are right at all.
    """
    if recovery.pairs is not None:
        return recovery.pp_interval.low > 0.0 and not recovery.db_interval.low <= 0.0
    return recovery.recovered_db >= GAIN_LIMIT_DB and recovery.db_interval.low > 0.0


def is_gain_in_db(recovery: Recovery) -> bool:
    """The output carries less noise, beyond noise, and the task is not worse beyond noise."""
    worse = recovery.pairs is not None and recovery.pp_interval.high < 0.0
    return recovery.recovered_db >= GAIN_LIMIT_DB and recovery.db_interval.low > 0.0 and not worse


def _judged(kind: str, value: float, interval: Interval, limit: float) -> Harm:
    verdict: HarmVerdict = "healthy"
    if value > limit or math.isnan(value):
        # flips are never negative: there, the whole interval has to lie beyond the limit
        bound = limit if kind == "flips" else 0.0
        verdict = "harmed" if interval.low > bound or math.isnan(value) else "undecided"
    return Harm(kind, value, interval, limit, verdict)  # type: ignore[arg-type]


def _flips_interval(flipped: int, n: int) -> Interval:
    """95 % interval of a share, in percent (Wilson score interval)."""
    z, share = 1.959963984540054, flipped / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    margin = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(100.0 * max(0.0, centre - margin), 100.0 * min(1.0, centre + margin))
