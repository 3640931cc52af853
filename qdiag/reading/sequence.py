"""Repairs one on top of the other, and what none of them recovers, as rows of text."""

from dataclasses import dataclass

from qdiag.core.causes.ranking import Ranking, WaterfallStep
from qdiag.core.causes.score import Score
from qdiag.reading.amount import Amount, amount_of, change_amount
from qdiag.reading.labels import BETTER_THAN_FLOAT, NOT_RECOVERED
from qdiag.reading.words.causes import repair_title, score_words, step_title
from qdiag.reading.words.numbers import count_noun
from qdiag.reading.words.task.figures import reference_words
from qdiag.reading.words.task.sample_counts import float_there


@dataclass(frozen=True, slots=True)
class StepRow:
    """One more repair on top of those before it.

    Attributes:
        suspect: the code and the title of the finding that asks for it, or `the whole network`.
    """

    step: WaterfallStep
    suspect: str
    repair: str
    layers: tuple[str, ...]
    afterwards: str
    recovers: Amount


@dataclass(frozen=True, slots=True)
class SequenceRows:
    """The whole sequence; empty where no repair recovered anything.

    Attributes:
        before: what the quantized network comes to as it is. reference: the float network; empty without a figure.
        remainder: what no repair recovers, or by how much the repaired network is better than the float one; None
            without a figure. remainder_label: which of both. remainder_sentence: the same as a sentence.
        parts: what weights and activations cost by themselves, a sentence each.
    """

    steps: tuple[StepRow, ...]
    before: str
    reference: str
    remainder: Amount | None
    remainder_label: str
    remainder_sentence: str
    parts: tuple[str, ...]


def sequence_rows(ranking: Ranking) -> SequenceRows:
    """Of one ranking."""
    criterion, judged = ranking.criterion, ranking.before.task.judged
    is_better = ranking.remainder < 0.0
    remainder = change_amount(criterion, abs(ranking.remainder)) if judged is not None else None
    return SequenceRows(
        steps=tuple(_step(step, ranking) for step in ranking.waterfall),
        before=score_words(ranking.before, criterion),
        reference=reference_words(judged) if judged is not None else "",
        remainder=remainder,
        remainder_label=BETTER_THAN_FLOAT if is_better else NOT_RECOVERED,
        remainder_sentence=_remainder_sentence(remainder, ranking),
        parts=tuple(_part_sentences(ranking)),
    )


def _step(step: WaterfallStep, ranking: Ranking) -> StepRow:
    return StepRow(
        step=step,
        suspect=step_title(step),
        repair=repair_title(step.repair),
        layers=step.layers,
        afterwards=score_words(step.after, ranking.criterion),
        recovers=amount_of(step.gained, ranking.criterion),
    )


def _remainder_sentence(remainder: Amount | None, ranking: Ranking) -> str:
    value = ranking.remainder
    if remainder is None:
        return ""
    if value > 0.0 and ranking.harm.verdict == "undecided":
        return f"After these repairs the loss is {remainder.words}; the samples are too few to tell it from none."
    if value > 0.0:
        return f"No repair recovers the remaining {remainder.words}."
    if value < 0.0:
        return f"The repaired network is {remainder.words} better than the float network."
    return "Nothing is left to recover."


def _part_sentences(ranking: Ranking) -> list[str]:
    sentences = []
    for part in ranking.parts:
        words = f"With only the {part.part} quantized, the network has {_with_sqnr(part.before, ranking)}"
        count = part.before.task.sample_count
        if count < ranking.before.task.sample_count:
            words = f"On {count_noun(count, 'sample')}{float_there(part.before)}, w{words[1:]}"
        if part.after is not None:
            words += f", and after these repairs {_with_sqnr(part.after, ranking)}"
        sentences.append(f"{words}.")
    return sentences


def _with_sqnr(score: Score, ranking: Ranking) -> str:
    return score_words(score, ranking.criterion, names_sqnr=True)
