"""The command that trains as a diagnosis was seen to gain from."""

from collections.abc import Sequence
from glob import escape

from qdiag.core.causes.training_trial import TrainingTrial
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.words.commands.repairing import model_and_options, trained_name
from qdiag.reading.words.commands.shell import as_argument, command_line

_OF_CALIBRATION = ("--calib-data", "--calib-samples")
"""Options of other commands in whose place the training has its own."""


def training_commands(diagnosis: Diagnosis) -> tuple[str, ...]:
    """One line for the training that helps most; empty where none helps."""
    helping = [trial for trial in diagnosis.trainings if trial.helps]
    if not helping:
        return ()
    best = max(helping, key=lambda trial: trial.beside_repairs)
    model, words = model_and_options(diagnosis, None, None)
    model = as_argument(model)
    how = [*best.options, *_rewriting(best), "--epochs", str(best.planned)]
    target = trained_name(model, is_program=best.variant is not None)  # no code builds the rewritten network
    return (command_line(["qat", model, *_without(words), *how, "-o", target]),)


def _rewriting(trial: TrainingTrial) -> list[str]:
    if trial.variant is None:
        return []
    blocks = [word for block in trial.blocks for word in ("--refit-blocks", escape(block))]
    return ["--refit-separable", trial.variant, *blocks]


def _without(words: Sequence[str]) -> list[str]:
    kept, skips = list[str](), False
    for word in words:
        if skips or word in _OF_CALIBRATION:
            skips = not skips
        else:
            kept.append(word)
    return kept
