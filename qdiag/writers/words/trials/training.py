"""Training as a repair, in words: what it gave back and cost, or why it was not tried."""

import math

from qdiag.core.causes.training_trial import TrainingMethod, TrainingTrial
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import Criterion
from qdiag.writers.words.numbers import count_noun, number
from qdiag.writers.words.task.afterwards import still_words
from qdiag.writers.words.task.figures import change_words, recovery_words, score_words
from qdiag.writers.words.task.float_cost import float_words

_TITLES: dict[TrainingMethod, str] = {
    "qat": "training with the quantizers in place",
    "refit_separable": "training with friendly separable convolutions",
}
_NO_LOSS = {
    "healthy": "was not tried: quantization costs this network nothing that training could give back",
    "undecided": "was not tried: it is undecided whether quantization costs this network anything",
}
_NOT_TRAINED = {
    "not allowed": "was not tried, because it was not allowed",
    "nothing left": "was not tried: repairs without training leave nothing",
    "no better": "made no epoch better than the network as it was read",
}


def training_lines(diagnosis: Diagnosis) -> tuple[str, ...]:
    """A sentence or two for each training; empty where none is worth a word."""
    return tuple(line for trial in diagnosis.trainings if (line := training_words(trial, diagnosis)))


def training_words(trial: TrainingTrial, diagnosis: Diagnosis) -> str:
    """What one training gave back, over what, and what it cost."""
    title, criterion = _TITLES[trial.method].capitalize(), diagnosis.ranking.criterion
    if trial.not_trained == "nothing left" and not diagnosis.ranking.waterfall:
        return ""
    if trial.not_trained == "no loss":
        return f"{title} {_NO_LOSS[diagnosis.ranking.harm.verdict]}."
    if trial.not_trained is not None:
        return f"{title} {_not_trained(trial)}."
    assert trial.after is not None and trial.recovery is not None, "it was trained"
    measured = f"{score_words(trial.after, criterion)}{still_words(trial.after)}"
    back = recovery_words(trial.recovery, criterion)
    return f"{title}: {measured}. It gives back {back}; {_beside_repairs(trial, criterion)}. {_cost(trial)}."


def _not_trained(trial: TrainingTrial) -> str:
    if trial.not_trained == "refused":
        return f"was refused: {trial.detail}"
    if trial.not_trained == "too slow":
        return f"was not tried: one epoch on {_samples(trial)} takes {minutes_words(trial.epoch_s)}, which is too long"
    words = _NOT_TRAINED[trial.not_trained or ""]
    return f"{words} ({_effort(trial)})" if trial.not_trained == "no better" else words


def _beside_repairs(trial: TrainingTrial, criterion: Criterion | None) -> str:
    over = trial.over_repairs
    if math.isnan(over):
        return "what repairs without training reach is not known"
    amount = change_words(criterion, abs(over)) if criterion is not None else f"{number(abs(over))} dB"
    if over > 0.0:
        return f"that is {amount} more than repairs without training reach"
    return "repairs without training reach as much" if over == 0.0 else f"repairs without training reach {amount} more"


def _cost(trial: TrainingTrial) -> str:
    return f"Its cost: {_effort(trial)}; float network: {float_words(trial.float_cost, trial.method)}"


def _effort(trial: TrainingTrial) -> str:
    return f"{count_noun(trial.epochs, 'epoch')} on {_samples(trial)}, {minutes_words(trial.seconds)}"


def _samples(trial: TrainingTrial) -> str:
    return f"{trial.sample_count:,} samples"


def minutes_words(seconds: float) -> str:
    """Seconds below a minute and a half, minutes above."""
    return f"{seconds:.0f} s" if seconds < 90.0 else f"{seconds / 60.0:.1f} minutes"
