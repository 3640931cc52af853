"""When a suspect may be called a cause."""

import math
from collections.abc import Sequence

from qdiag.core.causes.ranking import Harm, Trial, Verdict
from qdiag.core.causes.score import GAIN_LIMIT_DB
from qdiag.rank.harm import is_gain, is_gain_in_db

MUCH_DB = 6.0
"""A repair that takes three quarters of the noise power from the output is not said to give nothing back."""


def is_claim(trial: Trial) -> bool:
    """The repair gave something back beyond noise, and more than its placebo, where there could be one."""
    return trial.is_claim


def verdict_on(
    harm: Harm,
    trials: Sequence[Trial],
    *,
    needed_in_sequence: bool,
    is_all_repaired: bool = False,
    has_lost_output: bool = False,
) -> tuple[Verdict, str]:
    """The verdict on one suspect, and one short fact behind it.

    Args:
        needed_in_sequence: taking its repair out of the sequence of repairs loses something beyond noise.
        is_all_repaired: the sequence of repairs leaves no harm.
        has_lost_output: an output that the figure does not speak of is lost.
    """
    measured = [trial for trial in trials if trial.recovery is not None]
    if not measured:
        return "untested", _why_untested(trials)
    quieter = max((t.recovery.recovered_db for t in measured if t.recovery and is_gain_in_db(t.recovery)), default=0.0)
    if harm.verdict == "healthy" and has_lost_output:
        return "undecided", "the figure that judges is within its limit, and does not speak of the output that is lost"
    if harm.verdict == "healthy" and harm.state == "unsure":
        return "undecided", "no loss was found, and the samples are too few to be sure that there is none"
    if harm.verdict == "healthy":
        if quieter >= MUCH_DB:
            return (
                "harmless",
                f"accuracy is within its limit, although its repair recovers {quieter:.1f} dB at the output",
            )
        return "harmless", "quantization costs this network nothing that would have to be repaired"
    if harm.verdict == "undecided" and math.isnan(harm.value):
        if harm.criterion is not None:
            return "undecided", f"{harm.criterion.name} is not a number, so what quantization costs cannot be told"
        return "undecided", "there is no output by which to tell what quantization costs"
    if harm.verdict == "undecided":
        return "undecided", "too few samples to tell whether quantization costs anything"
    claims = [trial for trial in measured if is_claim(trial)]
    if claims:
        own = [trial for trial in claims if trial.keeps_scheme]
        reason = "its repair alone gives accuracy back" if own else "only a change of scheme gives accuracy back"
        return "cause", reason
    if needed_in_sequence:
        return "cause", "hidden behind another cause: its repair gives accuracy back on top of that one's"
    if is_all_repaired:
        return "harmless", "with the causes repaired, nothing is left that it could cost"
    gained = [trial for trial in measured if trial.recovery is not None and is_gain(trial.recovery)]
    if gained:
        return "undecided", "the same repair elsewhere gives back as much"
    if any(_may_gain(trial) for trial in measured):
        return "undecided", "what its repair gives back is within the noise of these samples"
    if quieter >= MUCH_DB:
        return "undecided", f"its repair recovers {quieter:.1f} dB at the output, and no accuracy beyond noise"
    return "harmless", "its repair gives nothing back"


def _why_untested(trials: Sequence[Trial]) -> str:
    if not trials:
        return "nothing here repairs it"
    if any(trial.refused is None for trial in trials):
        return "no repair could be measured"
    return "its repair was refused" if len(trials) == 1 else "all its repairs were refused"


def _may_gain(trial: Trial) -> bool:
    assert trial.recovery is not None
    judged = trial.after.task.judged if trial.after is not None else None
    if trial.recovery.has_task and judged is not None:
        return trial.recovery.recovered_task > 0.0 and trial.recovery.recovered_task >= judged.small
    return trial.recovery.recovered_db >= GAIN_LIMIT_DB


def order_trials(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Those that keep the scheme, best first; then the ways around, best first; then refused ones."""

    def rank(trial: Trial) -> tuple[bool, bool, float, float]:
        if trial.recovery is None:
            return (True, True, 0.0, 0.0)
        points = trial.recovery.recovered_task if trial.recovery.has_task else 0.0
        return (False, not trial.keeps_scheme, -points, -_number(trial.recovery.recovered_db))

    return tuple(sorted(trials, key=rank))


def strength(trials: Sequence[Trial]) -> tuple[bool, float, float, float]:
    """To sort suspects by, larger is stronger: gained within the scheme or not, points beyond noise, all points, dB."""
    measured = [t for t in trials if t.recovery is not None]
    own = [t for t in measured if t.keeps_scheme and t.recovery is not None and is_gain(t.recovery)]
    best = order_trials(own or measured)
    if not best or best[0].recovery is None:
        return (False, 0.0, 0.0, 0.0)
    recoveries = [t.recovery for t in own or measured if t.recovery and t.recovery.has_task]
    points = max((r.recovered_task for r in recoveries), default=0.0)
    sure = max((r.recovered_task for r in recoveries if is_gain(r)), default=0.0)
    decibels = max(_number(t.recovery.recovered_db) for t in own or measured if t.recovery)
    return (bool(own), sure, points, decibels)


def _number(value: float) -> float:
    return value if value == value else 0.0
