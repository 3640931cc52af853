"""Training as a repair, in words: what it recovered and cost, or why it was not tried."""

import math

from qdiag.core.causes.training_trial import TrainingMethod, TrainingTrial
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import Criterion
from qdiag.reading.layer_names import layers_named
from qdiag.reading.words.numbers import count_noun, number
from qdiag.reading.words.task.afterwards import still_words
from qdiag.reading.words.task.figures import change_words, recovery_words, score_words
from qdiag.reading.words.task.float_cost import float_words

_TITLES: dict[TrainingMethod, str] = {
    "qat": "training with the quantizers in place",
    "refit_separable": "training with friendly separable convolutions",
}
_NO_LOSS = {
    "healthy": "was not tried: quantization costs this network nothing that training could recover",
    "undecided": "was not tried: it is undecided whether quantization costs this network anything",
}
_NOT_TRAINED = {
    "not allowed": "was not tried: no minutes were given for it",
    "nothing left": "was not tried: repairs without training leave nothing",
}


def training_lines(diagnosis: Diagnosis) -> tuple[str, ...]:
    """A sentence or two for each training; empty where none is worth a word."""
    return tuple(line for trial in diagnosis.trainings if (line := training_words(trial, diagnosis)))


def training_words(trial: TrainingTrial, diagnosis: Diagnosis) -> str:
    """What one training recovered, over what, and what it cost."""
    title, criterion = f"{_TITLES[trial.method].capitalize()}{_blocks(trial)}", diagnosis.ranking.criterion
    if trial.not_trained == "nothing left" and not diagnosis.ranking.waterfall:
        return ""
    if trial.not_trained == "no loss":
        return f"{title} {_NO_LOSS[diagnosis.ranking.harm.verdict]}."
    if trial.not_trained is not None:
        return f"{title} {_not_trained(trial)}."
    assert trial.after is not None and trial.recovery is not None, "it was trained"
    measured = f"{score_words(trial.after, criterion)}{still_words(trial.after)}"
    back = recovery_words(trial.recovery, criterion)
    return f"{title}: {measured}. It recovers {back}; {_beside_repairs(trial, criterion)}. {_cost(trial)}."


def _not_trained(trial: TrainingTrial) -> str:
    if trial.not_trained == "refused":
        return f"was refused: {trial.detail}"
    if trial.not_trained == "too slow":
        return f"was not tried: one epoch on {_samples(trial)} takes {minutes_words(trial.epoch_s)}, which is too long"
    if trial.not_trained == "no better":
        than = "the network as it was read" if trial.variant is None else "the rewritten network before training"
        return f"made no epoch better than {than} ({_effort(trial)})"
    return _NOT_TRAINED[trial.not_trained or ""]


def _blocks(trial: TrainingTrial) -> str:
    """Where the network was rewritten, in brackets."""
    if trial.variant is None or not trial.blocks:
        return ""
    return f" (variant {trial.variant} behind {layers_named(trial.blocks)})"


def _beside_repairs(trial: TrainingTrial, criterion: Criterion | None) -> str:
    over, found = trial.beside_repairs, trial.over_repairs
    if found is None or math.isnan(over):
        return "what repairs without training reach is not known"
    amount = change_words(criterion, abs(over)) if criterion is not None else f"{number(abs(over))} dB"
    if over == 0.0:
        return "repairs without training reach as much"
    if over < 0.0:
        return f"repairs without training reach {amount} more"
    interval = found.task_interval if found.has_task else found.db_interval
    unsure = "" if interval.low > 0.0 else ", which is within noise"
    return f"that is {amount} more than repairs without training reach{unsure}"


def _cost(trial: TrainingTrial) -> str:
    return f"Its cost: {_effort(trial)}; float network: {float_words(trial.float_cost, trial.method)}"


def _effort(trial: TrainingTrial) -> str:
    made = count_noun(trial.epochs, "epoch")
    if trial.epochs < trial.planned:
        made = f"{trial.epochs} of {count_noun(trial.planned, 'epoch')}, for which the time sufficed,"
    return f"{made} on {_samples(trial)}, {minutes_words(trial.seconds)}"


def _samples(trial: TrainingTrial) -> str:
    return f"{trial.sample_count:,} samples"


def minutes_words(seconds: float) -> str:
    """Seconds below a minute and a half, minutes above."""
    return f"{seconds:.0f} s" if seconds < 90.0 else f"{seconds / 60.0:.1f} minutes"
