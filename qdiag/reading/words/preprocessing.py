"""That the inputs do not seem to be prepared as in training, and which options prepare them so."""

from collections.abc import Sequence

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.preprocessing import NormInput, PreprocessingCheck, PreprocessingTrial
from qdiag.reading.layer_names import layer_named
from qdiag.reading.words.commands.in_python import is_of_objects
from qdiag.reading.words.commands.repairing import model_and_options
from qdiag.reading.words.commands.shell import as_argument, command_line
from qdiag.reading.words.numbers import count_noun, significant

_PIXEL_OPTIONS = ("--preset", "--mean", "--std", "--pixel-scale", "--channel-order")
"""What a preset or a scale takes the place of."""


def preprocessing_warning(measurement: Measurement) -> str | None:
    """What speaks against the preprocessing, and what to use; None where nothing does."""
    check = measurement.preprocessing
    if check is None or not check.is_doubtful:
        return None
    sentences = ["The inputs do not seem to be prepared as in training."]
    if check.worst is not None and not check.is_as_trained:
        what = f"What reaches the first BatchNorm, {layer_named(check.worst.name)}, is not what it saw there"
        sentences.append(f"{what}: {_norm_words(check.worst)}.")
    sentences.append(_better_words(check))
    return " ".join((*sentences, "What is found below may come from that."))


def preprocessing_command(diagnosis: Diagnosis) -> str | None:
    """The same diagnosis with the preprocessing that fits; None where none is known."""
    check = diagnosis.measurement.preprocessing
    if check is None or not check.is_doubtful or check.better is None:
        return None
    if is_of_objects(diagnosis):
        return None
    model, options = model_and_options(diagnosis, None, None)
    return command_line(["diagnose", as_argument(model), *_replaced(options, check.better)])


def _better_words(check: PreprocessingCheck) -> str:
    better = check.better
    if better is None:
        advice = "Check how they are scaled, what is subtracted, and the order of the channels."
        if check.trials:
            advice = f"None of the {len(check.trials)} other presets, scales and channel orders that were tried fits."
        return advice + (f" {_level_words(check)}." if check.labelled_count else "")
    options = " ".join(_option_words(better))
    top1 = better.top1
    if top1 is not None and top1.drop_pp > 0.0:
        return f"{_level_words(check)}; with {options} it is {top1.reference_percent:.0f} %."
    assert better.norm is not None  # what is not right more often is proposed for the statistics' sake
    fits = f"With {options} {_norm_words(better.norm)}"
    if top1 is None:
        return f"{fits}."
    now, then = f"{check.float_percent:.0f} %", f"{top1.reference_percent:.0f} %"
    samples = count_noun(check.labelled_count, "sample")
    return f"{fits}. On {samples} float top-1 is {now} now and {then} then, which is no clear difference."


def _norm_words(norm: NormInput) -> str:
    return (
        f"its mean is {significant(norm.mean_shift)} standard deviations away, and its variance is "
        f"{significant(norm.variance_ratio)} times as large"
    )


def _level_words(check: PreprocessingCheck) -> str:
    return f"On {count_noun(check.labelled_count, 'sample')} float top-1 is {check.float_percent:.0f} %"


def _option_words(trial: PreprocessingTrial) -> list[str]:
    return [word for name, value in trial.settings for word in (f"--{name.replace('_', '-')}", value)]


def _replaced(options: Sequence[str], trial: PreprocessingTrial) -> list[str]:
    """The options of a run with those of the trial in place of what they take the place of."""
    new = _option_words(trial)
    taken = set(new[::2])
    if taken != {"--channel-order"}:
        taken |= set(_PIXEL_OPTIONS)
    kept, words = [], iter(options)
    for word in words:
        if word in taken:
            next(words, None)
        else:
            kept.append(word)
    return [*kept, *new]
