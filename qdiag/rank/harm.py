"""Whether quantization costs anything at all: without harm there is nothing to explain."""

import math

from qdiag.core.causes.lost_outputs import SQNR_LIMIT_DB, lost_beside_logits
from qdiag.core.causes.ranking import Harm, HarmVerdict, Recovery, Score
from qdiag.core.measures.task import Z_95, Interval, PairedCounts

DROP_LIMIT_PP = 1.0
"""A drop up to this is not worth a repair: what users call healthy, and the usual limit of a gate."""
FLIPS_LIMIT_PERCENT = 5.0
"""Top-1 that changes where there are no labels. Healthy 8-bit networks flip 1 to 4 % of their answers, nearly all of
them close calls that were as often wrong before."""
GAIN_LIMIT_DB = 1.0
"""A repair that gives back less than this at the output has not removed a cause."""


def harm_of(score: Score) -> Harm:
    """Drop of accuracy where there are labels, flips of top-1 where there are logits, output SQNR otherwise.

    Harmed: the figure passes its limit and its 95 % interval excludes no harm at all. Undecided: it passes the limit,
    but the samples are too few to tell. NaN counts as harm: a network that answers NaN has lost everything. Without
    any float output there is nothing to judge by.
    """
    top1 = score.task.top1
    if top1 is not None:
        return _judged("drop", top1.drop_pp, top1.drop_interval_pp, DROP_LIMIT_PP)
    n = score.task.sample_count
    if score.task.agreement_count is not None and n:
        flipped = n - score.task.agreement_count
        counts = PairedCounts(n - flipped, flipped, 0, 0)
        return _judged("flips", counts.drop_pp, _flips_interval(flipped, n), FLIPS_LIMIT_PERCENT)
    if _is_silent(score):
        return Harm("sqnr", math.nan, Interval(math.nan, math.nan), SQNR_LIMIT_DB, "undecided")
    sqnr = score.output_sqnr_db
    verdict: HarmVerdict = "healthy" if sqnr >= SQNR_LIMIT_DB else "harmed" if score.outputs else "undecided"
    return Harm("sqnr", sqnr, Interval(math.nan, math.nan), SQNR_LIMIT_DB, verdict)


def harm_notes(score: Score, harm: Harm) -> tuple[str, ...]:
    """What to know before believing the verdict: nothing to judge by, or too few samples to call it healthy."""
    if not score.outputs:
        return (
            "no output is a float tensor, so what quantization costs cannot be told; let the network return logits",
        )
    if harm.kind == "sqnr" and _is_silent(score):
        return ("every output of the float network is zero on these samples, which proves nothing; give other data",)
    return (*_lost_outputs(score, harm), *_too_few(score.task.sample_count, harm))


def _is_silent(score: Score) -> bool:
    """The float network gave numbers, and all of them are zero: without a signal there is nothing to lose."""
    errors = [output.error for output in score.outputs]
    seen = sum(error.count for error in errors)
    return seen > 0 and not any(error.reference_sq_sum or error.reference_nonfinite_count for error in errors)


def _lost_outputs(score: Score, harm: Harm) -> tuple[str, ...]:
    """Outputs that the verdict does not speak of: where there are logits, it is of these alone."""
    lost = [
        f"{o.name} ({o.weakest_sqnr_db:.1f} dB{f' at {o.weakest.name}' if o.weakest else ''})"
        for o in (lost_beside_logits(score) if harm.kind != "sqnr" else ())
    ]
    if not lost:
        return ()
    return (
        f"the verdict is of the logits alone; below {SQNR_LIMIT_DB:g} dB of SQNR at other outputs: {', '.join(lost)}",
    )


def _too_few(n: int, harm: Harm) -> tuple[str, ...]:
    needed = _samples_needed(harm)
    if harm.verdict != "healthy" or n >= needed:
        return ()
    samples = "1 sample is" if n == 1 else f"{n} samples are"
    unit = {"drop": "pp of top-1", "flips": "% of the answers"}[harm.kind]
    return (
        f"{samples} too few to be sure: a loss of up to {harm.interval.high:.1f} {unit} need not show; "
        f"{needed} or more could rule out {harm.limit:g}",
    )


def _samples_needed(harm: Harm) -> int:
    """The least number of samples at which no change at all puts the whole interval within the limit."""
    if harm.kind == "drop":  # half a width of z * sqrt(2) / (n + 2), see `PairedCounts.drop_interval_pp`
        return math.ceil(Z_95 * math.sqrt(2.0) / (harm.limit / 100.0)) - 2
    if harm.kind == "flips":  # upper end of z^2 / (n + z^2), see `_flips_interval`
        return math.ceil(Z_95 * Z_95 * (100.0 / harm.limit - 1.0))
    return 0


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
    z, share = Z_95, flipped / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    margin = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(100.0 * max(0.0, centre - margin), 100.0 * min(1.0, centre + margin))
