"""Sentences about causes and repairs, the same in tables, reports and pictures."""

import math

from qdiag.core.causes.codes import CODES, code_of
from qdiag.core.causes.lost_outputs import SQNR_LIMIT_DB, lost_beside_logits
from qdiag.core.causes.ranking import Harm, RankedCause, Ranking, Recovery, Score, TaskKind, Trial, WaterfallStep
from qdiag.core.causes.repair_traits import repair_title
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.listed import listed
from qdiag.core.measures.measurement import OutputRecord, weakest_output
from qdiag.writers.words.cause_commands import commands, ranking_of, way_around_commands
from qdiag.writers.words.numbers import (
    UNKNOWN,
    count_noun,
    interval_words,
    number,
    recovery_words,
    task_noun,
    with_unit,
)

__all__ = [
    "VERDICT_WORDS",
    "best_trial",
    "cause_line",
    "cause_title",
    "commands",
    "harm_words",
    "headline",
    "repair_title",
    "score_words",
    "way_around_commands",
]

VERDICT_WORDS = {
    "cause": "cause",
    "harmless": "harmless here",
    "undecided": "undecided",
    "untested": "not tested",
}
"""Of `RankedCause.verdict`."""

PROXY = "a proxy for the task's own metric"
"""What a limit on SQNR is, wherever it decides."""
_CODES = {code.code for code in CODES}


def headline(source: Diagnosis | Ranking) -> str:
    """The verdict in one to three sentences: what quantization costs, why, and what repairing that gives back."""
    ranking = ranking_of(source)
    harm, cost = ranking.harm, harm_words(ranking)
    limit = _limit_words(harm)
    lost = lost_beside_logits(ranking.before) if harm.kind != "sqnr" else ()
    if harm.verdict == "healthy" and lost:
        left = listed([f"{_at(o)} has {with_unit(o.weakest_sqnr_db, 'dB')} of SQNR left" for o in lost], 3)
        proxy = with_unit(SQNR_LIMIT_DB, "dB")
        return f"{_capital(cost)}, within the limit of {limit}. But {left}, below {proxy}, {PROXY}."
    if harm.verdict == "healthy":
        return f"Nothing to repair: {cost}, {'above' if harm.kind == 'sqnr' else 'within'} the limit of {limit}."
    if harm.verdict == "undecided" and math.isnan(harm.value):
        return f"Nothing to judge by: {cost}."
    if harm.verdict == "undecided":
        return f"Too few samples to tell: {cost}; the limit is {limit}."
    sentence = f"{_capital(cost)}{f', below the limit of {limit}' if harm.kind == 'sqnr' else ''}."
    claimed = ranking.claimed
    if not claimed:
        return f"{sentence} {_without_cause(ranking)}."
    return f"{sentence} {_cause_sentence(claimed)}"


def _without_cause(ranking: Ranking) -> str:
    """Repairs may help although no finding asks for them, or none of them alone beats its placebo."""
    if ranking.waterfall:
        after, before = ranking.repaired, ranking.before
        if ranking.task_kind == "none":
            back = with_unit(after.output_sqnr_db - before.output_sqnr_db, "dB")
        else:
            back = with_unit(after.task_percent - before.task_percent, "pp")
        return f"No fault is proved to be the cause; the repairs below give back {back}"
    tried = any(trial.after is not None for cause in ranking.causes for trial in cause.trials)
    return "No repair that was tried gives a part of it back beyond noise" if tried else "No cause was found"


def harm_words(ranking: Ranking) -> str:
    """`quantization costs 67.4 pp of top-1 (76.4 % → 9.0 %; 95 %: 63.0 to 71.3)`."""
    harm = ranking.harm
    if math.isnan(harm.value):
        return "what quantization costs is not known"
    bounds = interval_words(harm.interval)
    if harm.kind == "sqnr":
        inside = f" ({bounds})" if bounds else ""
        where = weakest_output(ranking.before.outputs)
        at = _at(where, is_only=len(ranking.before.outputs) == 1) if where is not None else "the output"
        return f"quantization leaves {with_unit(harm.value, 'dB')} of SQNR at {at}{inside}"
    if harm.kind == "flips":
        inside = f" ({bounds})" if bounds else ""
        return f"quantization changes the top-1 of {with_unit(harm.value, '%')} of the samples{inside}"
    top1 = ranking.before.task.top1
    parts = [f"{top1.reference_percent:.1f} % → {top1.simulated_percent:.1f} %"] if top1 is not None else []
    inside = "; ".join([*parts, *([bounds] if bounds else [])])
    inside = f" ({inside})" if inside else ""
    if harm.value < 0.0:
        return f"quantization raises top-1 by {with_unit(-harm.value, 'pp')}{_raised(inside, ranking)}"
    return f"quantization costs {with_unit(harm.value, 'pp')} of top-1{inside}"


def _raised(inside: str, ranking: Ranking) -> str:
    """The interval is of the drop, which a reader of a rise must be told."""
    bounds = interval_words(ranking.harm.interval)
    return inside.replace(bounds, f"drop, {bounds}") if bounds else inside


def _limit_words(harm: Harm) -> str:
    words = with_unit(harm.limit, {"drop": "pp", "flips": "%", "sqnr": "dB"}[harm.kind])
    return f"{words}, {PROXY}" if harm.kind == "sqnr" else words


def _at(output: OutputRecord, *, is_only: bool = False) -> str:
    """`branch sigmoid of output boxes`, or the output as a whole."""
    name = "the output" if is_only else f"output {output.name}"
    return f"{output.weakest.name} of {name}" if output.weakest else name


def _capital(sentence: str) -> str:
    return f"{sentence[:1].upper()}{sentence[1:]}"


def _cause_sentence(claimed: tuple[RankedCause, ...]) -> str:
    first = claimed[0]
    trial = best_trial(first)
    words = f"Cause: {cause_title(first.code)}, in {count_noun(len(first.layers), 'layer')}"
    if trial is not None and trial.recovery is not None:
        recovery = trial.recovery
        back = with_unit(recovery.recovered_pp, "pp") if recovery.pairs else with_unit(recovery.recovered_db, "dB")
        words += f"; repaired alone, that gives back {back}"
    more = len(claimed) - 1
    return f"{words}." + (f" {count_noun(more, 'more cause')} below." if more else "")


def cause_line(cause: RankedCause) -> str:
    """One line: the fault, where, and what its best repair gave back, or why it is not claimed."""
    head = f"{cause.code} {cause_title(cause.code)} ({listed(cause.layers)})"
    trial = best_trial(cause)
    if cause.verdict != "cause" or trial is None or trial.recovery is None:
        return f"{head}: {VERDICT_WORDS[cause.verdict]}" + (f", {cause.reason}" if cause.reason else "")
    if not _is_beyond_noise(trial.recovery):  # alone it gave nothing: what proves it stands in the sequence
        return f"{head}: {cause.reason}"
    line = f"{head}: {repair_title(trial.repair)}, gives back {recovery_words(trial.recovery)}"
    if trial.placebo is not None:
        placebo = trial.placebo.recovery
        back = with_unit(placebo.recovered_pp, "pp") if placebo.pairs else with_unit(placebo.recovered_db, "dB")
        line += f", its placebo {back}"
    return line


def _is_beyond_noise(recovery: Recovery) -> bool:
    interval = recovery.pp_interval if recovery.pairs is not None else recovery.db_interval
    return interval.low > 0.0


def cause_title(code: str) -> str:
    """A few words, lower case; the code itself when a newer version made it up."""
    return code_of(code).title if code in _CODES else code


def step_title(step: WaterfallStep) -> str:
    """`QD301 dead BatchNorm channels ...`; a step that no finding asks for is one of the whole network."""
    return f"{step.code} {cause_title(step.code)}" if step.code else "the whole network"


def best_trial(cause: RankedCause) -> Trial | None:
    """The measured repair that gave back most and keeps the scheme, or the best way around; None when none was."""
    measured = [trial for trial in cause.trials if trial.recovery is not None]
    keeping = [trial for trial in measured if trial.keeps_scheme]
    return next(iter(keeping or measured), None)


def score_words(score: Score, kind: TaskKind) -> str:
    """`65.4 % top-1, 8.2 dB`."""
    parts = []
    if kind != "none" and not math.isnan(score.task_percent):
        parts.append(f"{number(score.task_percent)} % {task_noun(kind)}")
    if score.outputs:
        parts.append(with_unit(score.output_sqnr_db, "dB"))
    return ", ".join(parts) or UNKNOWN
