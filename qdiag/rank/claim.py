"""When a suspect may be called a cause."""

import math
from collections.abc import Sequence

from qdiag.core.causes.ranking import Harm, HarmState, Trial, Verdict
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.core.causes.score import GAIN_LIMIT_DB
from qdiag.rank.harm import is_gain, is_gain_in_db

MUCH_DB = 6.0
"""A repair that takes three quarters of the noise power from the output is not said to recover nothing."""


def is_claim(trial: Trial) -> bool:
    """The repair recovered something beyond noise, and more than its placebo, where there could be one."""
    return trial.is_claim


def verdict_on(
    harm: Harm,
    trials: Sequence[Trial],
    *,
    needed_in_sequence: bool,
    left: HarmState | None = None,
    has_lost_output: bool = False,
) -> tuple[Verdict, str]:
    """The verdict on one suspect, and one short fact behind it.

    Args:
        needed_in_sequence: taking its repair out of the sequence of repairs loses something beyond noise.
        left: what the sequence of repairs leaves; None without one.
        has_lost_output: an output that the figure does not speak of is lost.
    """
    measured = [trial for trial in trials if trial.recovery is not None]
    if not measured:
        return "untested", _why_untested(trials)
    credited = [recovery for trial in measured if (recovery := trial.credited) is not None]
    quieter = max((r.recovered_db for r in credited if is_gain_in_db(r)), default=0.0)
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
        if any(trial.keeps_scheme for trial in claims):
            return "cause", "its repair alone recovers accuracy"
        return "cause", "of what was tried at its layers, only a change of scheme recovers accuracy"
    if needed_in_sequence:
        return "cause", "hidden behind another cause: its repair recovers accuracy on top of that one's"
    if left == "healthy":
        return "harmless", "with the causes repaired, nothing is left that it could cost"
    if left == "unsure":
        return "undecided", "with the causes repaired, the samples are too few to tell whether anything is left"
    if any(trial.is_on_top for trial in measured):
        return (
            "cause",
            "hidden behind layers beside it: on top of those, a change of scheme here recovers accuracy",
        )
    if any(is_gain(recovery) for recovery in credited):
        return "undecided", "the same repair elsewhere recovers as much"
    if any(_may_gain(trial) for trial in _telling(measured)):
        return "undecided", "what its repair recovers is within the noise of these samples"
    if quieter >= MUCH_DB:
        return "undecided", f"its repair recovers {quieter:.1f} dB at the output, and no accuracy beyond noise"
    if any(trial.is_of_others for trial in measured):
        return "harmless", "in float, its own layers recover nothing; what helps is the change at layers beside them"
    return "harmless", "its repair recovers nothing"


def _why_untested(trials: Sequence[Trial]) -> str:
    if not trials:
        return "nothing here repairs it"
    if any(trial.refused is None for trial in trials):
        return "no repair could be measured"
    return "its repair was refused" if len(trials) == 1 else "all its repairs were refused"


def _telling(trials: Sequence[Trial]) -> Sequence[Trial]:
    """Of repairs that gain nothing, the suspect's layers in float, where these were tried: none recovers more."""
    return _in_float(on_most_samples(trials)) or trials


def _in_float(trials: Sequence[Trial]) -> list[Trial]:
    return [t for t in trials if t.repair in TRAITS and TRAITS[t.repair].leaves_float]


def _louder_in_float(trials: Sequence[Trial]) -> list[Trial]:
    """The suspect's layers in float, where they make the error at the output larger, for which a few samples do."""
    return [t for t in _in_float(trials) if t.credited is not None and t.credited.db_interval.high < 0.0]


def _may_gain(trial: Trial) -> bool:
    recovery = trial.credited
    assert recovery is not None
    judged = trial.after.task.judged if trial.after is not None else None
    if recovery.db_interval.high < 0.0:
        return False  # with more noise at the output, what comes back does so by chance
    if recovery.has_task and judged is not None:
        return recovery.recovered_task > 0.0 and recovery.recovered_task >= judged.small
    return recovery.recovered_db >= GAIN_LIMIT_DB


def order_trials(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """Those that keep the scheme, best first; then the changes of scheme, best first; then refused ones.

    What a few samples ruled out comes after what was measured on all of them.
    """

    def rank(trial: Trial) -> tuple[bool, bool, int, float, float]:
        if trial.recovery is None:
            return (True, True, 0, 0.0, 0.0)
        points = trial.recovery.recovered_task if trial.recovery.has_task else 0.0
        count = trial.after.task.sample_count if trial.after is not None else 0
        return (False, not trial.keeps_scheme, -count, -points, -_number(trial.recovery.recovered_db))

    return tuple(sorted(trials, key=rank))


def on_most_samples(trials: Sequence[Trial]) -> list[Trial]:
    """Without those that fewer samples ruled out than others were measured on."""
    most = max((t.after.task.sample_count for t in trials if t.after is not None), default=0)
    return [t for t in trials if t.after is None or t.after.task.sample_count == most]


def strength(trials: Sequence[Trial]) -> tuple[bool, float, float, float]:
    """To sort suspects by, larger is stronger: gained within the scheme or not, points beyond noise, all points, dB.

    More noise than before counts as none that was taken away: how much more says nothing about what is the cause.
    """
    every = [t for t in trials if t.recovery is not None]
    measured = on_most_samples(every)
    own = [t for t in measured if t.keeps_scheme and t.recovery is not None and is_gain(t.recovery)]
    is_any = any(t.recovery is not None and is_gain(t.recovery) for t in measured)
    told = own or (measured if is_any else _in_float(measured) or _louder_in_float(every) or measured)
    recoveries = [recovery for t in told if (recovery := t.credited) is not None]
    if not recoveries:
        return (False, 0.0, 0.0, 0.0)
    points = max((r.recovered_task for r in recoveries if r.has_task and not r.db_interval.high < 0.0), default=0.0)
    sure = max((r.recovered_task for r in recoveries if r.has_task and is_gain(r)), default=0.0)
    decibels = max(0.0, *(_number(r.recovered_db) for r in recoveries))
    return (bool(own), sure, points, decibels)


def _number(value: float) -> float:
    return value if value == value else 0.0
