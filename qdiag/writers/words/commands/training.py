"""The command that trains as a diagnosis was seen to gain from."""

from collections.abc import Sequence

from qdiag.core.diagnosis import Diagnosis
from qdiag.writers.words.commands.repairing import model_and_options, trained_name
from qdiag.writers.words.commands.shell import as_argument, command_line

_OF_CALIBRATION = ("--calib-data", "--calib-samples")
"""Options of other commands in whose place the training has its own."""


def training_commands(diagnosis: Diagnosis) -> tuple[str, ...]:
    """One line for the training that helps most; empty where none helps."""
    helping = [trial for trial in diagnosis.trainings if trial.helps]
    if not helping:
        return ()
    best = max(helping, key=lambda trial: trial.over_repairs)
    model, words = model_and_options(diagnosis, None, None)
    model = as_argument(model)
    epochs = ["--epochs", str(best.epochs)]
    return (command_line(["qat", model, *_without(words), *best.options, *epochs, "-o", trained_name(model)]),)


def _without(words: Sequence[str]) -> list[str]:
    kept, skips = list[str](), False
    for word in words:
        if skips or word in _OF_CALIBRATION:
            skips = not skips
        else:
            kept.append(word)
    return kept
