"""Sentences about causes and repairs, the same in tables, reports and pictures."""

import math

from qdiag.core.causes.codes import CODES, code_of
from qdiag.core.causes.lost_outputs import lost_outputs
from qdiag.core.causes.ranking import HarmState, RankedCause, Ranking, Trial, WaterfallStep
from qdiag.core.causes.repair_traits import repair_title
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.measurement import weakest_output
from qdiag.reading.layer_names import counted_places, layers_named
from qdiag.reading.told import told_proof, told_trial
from qdiag.reading.words.commands.repairing import commands, ranking_of, way_around_commands
from qdiag.reading.words.deployed.rules import reservation_of_runtime
from qdiag.reading.words.numbers import SILENT, count_noun, recovers_words
from qdiag.reading.words.task.afterwards import leaves_harm
from qdiag.reading.words.task.choice import PROXY
from qdiag.reading.words.task.figures import (
    bounds_words,
    change_words,
    from_to,
    gain_words,
    loss_words,
    score_words,
    trial_criterion,
    value_words,
)
from qdiag.reading.words.task.harm import LOST_OUTPUT, RESERVED, left_words, output_words, state_words
from qdiag.reading.words.task.loss_source import loss_source_words
from qdiag.reading.words.task.reservations import float_doubt_words, reservation_words
from qdiag.reading.words.trials.own_layers import credited_words

__all__ = [
    "VERDICT_WORDS",
    "cause_line",
    "cause_title",
    "commands",
    "diagnosis_state_words",
    "harm_words",
    "headline",
    "repair_title",
    "score_words",
    "state_of",
    "step_title",
    "trial_title",
    "way_around_commands",
]

VERDICT_WORDS = {
    "cause": "cause",
    "fused": "a cause once fused",
    "harmless": "harmless here",
    "undecided": "undecided",
    "untested": "not tested",
}
"""Of `RankedCause.verdict`."""

_CODES = {code.code for code in CODES}


def headline(source: Diagnosis | Ranking) -> str:
    """The verdict in one to three sentences: what quantization costs, why, and what repairing that recovers."""
    ranking = ranking_of(source)
    harm, cost = ranking.harm, harm_words(ranking)
    limit = loss_words(harm.criterion, harm.limit)
    lost = lost_outputs(ranking.before)
    reservation = _reservation(source) if isinstance(source, Diagnosis) else ""
    if harm.verdict == "healthy" and lost:
        return f"{_capital(cost)}, within the limit of {limit}. But {left_words(lost)}, {PROXY}."
    if harm.verdict == "healthy":
        found = (
            "Nothing to repair"
            if harm.state == "healthy"
            else "No harm was measured, but the samples are too few to be sure"
        )
        if reservation:
            found = f"No harm measured, with a reservation: {reservation}" + (
                "" if harm.state == "healthy" else ", and the samples are too few to be sure"
            )
            found, cost = f"{found}.", _capital(cost)
        else:
            found = f"{found}:"
        if harm.criterion is None:
            return f"{found} {cost}, above the limit of {limit}, {PROXY}."
        return f"{found} {cost}, within the limit of {limit}."
    if harm.verdict == "undecided" and math.isnan(harm.value):
        return f"No verdict is possible: {cost}."
    if harm.verdict == "undecided":
        return f"Too few samples to tell: {cost}; the limit is {limit}. {_reserved(source)}".rstrip()
    sentence = _capital(cost)
    if harm.criterion is None and not math.isnan(harm.value):
        sentence += f", below the limit of {limit}, {PROXY}"
    why = _cause_sentence(ranking) if ranking.claimed else f"{_without_cause(ranking)}."
    where = loss_source_words(source.sensitivity) if isinstance(source, Diagnosis) else ""
    return " ".join(filter(None, (f"{sentence}.", why, where, _reserved(source))))


def _reservation(diagnosis: Diagnosis) -> str:
    """Why another network will run than the one that was measured; empty where nothing says so."""
    return reservation_words(diagnosis.measurement) or reservation_of_runtime(diagnosis)


def _reserved(source: Diagnosis | Ranking) -> str:
    """Why the float network is no good reference for the verdict, as a sentence; empty where nothing says so."""
    doubt = float_doubt_words(source.measurement, source.ranking) if isinstance(source, Diagnosis) else ""
    return f"With a reservation: {doubt}." if doubt else ""


def state_of(diagnosis: Diagnosis) -> HarmState:
    """`healthy` only where no output is lost either, and nothing says that another network will run."""
    ranking = diagnosis.ranking
    is_doubtful = lost_outputs(ranking.before) or _reservation(diagnosis)
    return "unsure" if ranking.harm.verdict == "healthy" and is_doubtful else ranking.harm.state


def diagnosis_state_words(diagnosis: Diagnosis) -> str:
    """`state_words`, which knows of a lost output and of reservations too."""
    ranking = diagnosis.ranking
    if ranking.harm.verdict == "healthy" and lost_outputs(ranking.before):
        return LOST_OUTPUT
    if ranking.harm.state == "healthy" and _reservation(diagnosis):
        return RESERVED
    return state_words(ranking.harm)


def _without_cause(ranking: Ranking) -> str:
    """Repairs may help although no finding asks for them, or none of them alone beats its placebo."""
    if ranking.waterfall and ranking.regained > 0.0:
        return f"No fault is proved to be the cause; {_together(ranking)}"
    tried = any(trial.after is not None for cause in ranking.causes for trial in cause.trials)
    if not tried:
        return "No cause was found"
    does = "; another scheme below does" if any(trial.helps for trial in ranking.ways_around) else ""
    return f"No repair that was tried recovers a part of it beyond noise{does}"


def _together(ranking: Ranking) -> str:
    """`the repairs below together recover 34.2 pp`."""
    back = change_words(ranking.criterion, ranking.regained)
    several = len(ranking.waterfall) > 1
    return f"the {'repairs below together recover' if several else 'repair below recovers'} {back}"


def _unknown_cost(ranking: Ranking) -> str:
    """Why nothing can be said: `what quantization costs is not known: mAP of the float network is not a number`."""
    criterion = ranking.harm.criterion
    if ranking.before.is_silent:
        return f"what quantization costs is not known: {SILENT}"
    judged = ranking.before.task.figure(criterion.name) if criterion is not None else None
    if judged is None or (ranking.harm.verdict != "harmed" and not math.isnan(judged.reference)):
        return "what quantization costs is not known"
    if math.isnan(judged.reference):
        return f"what quantization costs is not known: {judged.criterion.name} of the float network is not a number"
    before = value_words(judged.criterion, judged.reference)
    return f"quantization makes {judged.criterion.name} NaN, which is not a number (float: {before})"


def harm_words(ranking: Ranking) -> str:
    """`quantization costs 67.4 pp of top-1 (76.4 % → 9.0 %; 95 %: 63.0 to 71.3)`; an error rises instead."""
    harm, criterion = ranking.harm, ranking.harm.criterion
    if math.isnan(harm.value):
        return _unknown_cost(ranking)
    is_better = criterion is not None and harm.value < 0.0
    bounds = bounds_words(criterion, harm.interval.turned if is_better else harm.interval)
    inside = f" ({bounds})" if bounds else ""
    size = loss_words(criterion, abs(harm.value))
    if criterion is None:
        where = weakest_output(ranking.before.outputs)
        at = output_words(where, is_only=len(ranking.before.outputs) == 1) if where is not None else "the output"
        return f"quantization leaves {loss_words(None, harm.value)} of SQNR at {at}{inside}"
    judged = ranking.before.task.figure(criterion.name)
    if criterion.is_against_float and judged is not None and judged.counts is not None:
        return f"quantization changes the answer of {size} of the samples{inside}"
    name = f"{criterion.name} with the float network" if criterion.is_against_float else criterion.name
    parts = [*([from_to(judged)] if judged is not None else []), *([bounds] if bounds else [])]
    inside = f" ({'; '.join(parts)})" if parts else ""
    if criterion.higher_is_better and not is_better:
        return f"quantization costs {size} of {name}{inside}"
    return f"quantization {'raises' if is_better == criterion.higher_is_better else 'lowers'} {name} by {size}{inside}"


def _capital(sentence: str) -> str:
    return f"{sentence[:1].upper()}{sentence[1:]}"


def _cause_sentence(ranking: Ranking) -> str:
    claimed = ranking.claimed
    first = claimed[0]
    words = f"Cause: {cause_title(first.code)}, in {counted_places(first.layers)}; {_proof(ranking, first)}"
    more = len(claimed) - 1
    listed_below = f" {count_noun(more, 'more cause')} {'is' if more == 1 else 'are'} listed below."
    return f"{words}.{listed_below if more else ''}"


def _proof(ranking: Ranking, cause: RankedCause) -> str:
    """What showed that it is a cause: its repair alone, a change of scheme, or several repairs together."""
    trial = told_trial(ranking, cause)
    if trial is None or trial.recovery is None or not trial.is_claim:
        alone = "repairing it alone recovers nothing beyond noise"
        return f"{alone}; {_together(ranking)}" if ranking.waterfall else alone
    back = gain_words(trial.recovery, trial_criterion(trial))
    if trial.keeps_scheme:
        return f"repairing it alone recovers {back}"
    change = f"{repair_title(trial.repair)}, which recovers {back}"
    if ranking.waterfall and ranking.regained > 0.0:
        there = "of what was tried there alone, only a change of scheme recovers more than noise"
        return f"{there}, {change}. Within the scheme, {_together(ranking)}"
    if leaves_harm(trial.after):
        return f"only a change of scheme recovers more than noise, {change}, and leaves the network harmed"
    return f"only a change of scheme repairs it, {change}"


def cause_line(cause: RankedCause, ranking: Ranking) -> str:
    """One line: the fault, where it is, and what its best repair recovered, or why it is not claimed."""
    head = f"{cause.code} {cause_title(cause.code)} ({layers_named(cause.layers)})"
    told = told_trial(ranking, cause)
    if cause.verdict != "cause" or told is None or told.recovery is None:
        return f"{head}: {VERDICT_WORDS[cause.verdict]}" + (f", {cause.reason}" if cause.reason else "")
    proof = told_proof(ranking, cause)
    if proof is None:  # alone it recovered nothing: what proves it stands in the sequence
        return f"{head}: {cause.reason}"
    trial, criterion = proof[0], trial_criterion(proof[0])
    line = f"{head}: {trial_title(trial)}, which recovers {credited_words(trial, criterion)}"
    if trial.placebo is not None and not trial.is_on_top:
        where = placebo_samples(trial, ranking)
        few = f"{where} " if where else ""
        line += f"; {few}its placebo {recovers_words(gain_words(trial.placebo.recovery, criterion))}"
    return line


def placebo_samples(trial: Trial, ranking: Ranking) -> str:
    """`on 32 of 500 samples`; empty where the placebo was measured on all of them, or there is none."""
    count = trial.placebo.sample_count if trial.placebo is not None else None
    return f"on {count} of {count_noun(ranking.before.task.sample_count, 'sample')}" if count is not None else ""


def cause_title(code: str) -> str:
    """A few words, lower case; the code itself when a newer version made it up."""
    return code_of(code).title if code in _CODES else code


def step_title(step: WaterfallStep) -> str:
    """`QD301 dead BatchNorm channels ...`; a step that no finding asks for is one of the whole network."""
    return f"{step.code} {cause_title(step.code)}" if step.code else "the whole network"


def trial_title(trial: Trial) -> str:
    """The repair, and that it was made in the fused network."""
    title = repair_title(trial.repair)
    return f"once fused: {title}" if trial.first else title
