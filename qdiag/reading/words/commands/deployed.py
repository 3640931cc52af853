"""The commands that write a repaired quantized file and check it."""

from collections.abc import Sequence

from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.words.commands.file_names import changes_file, fixed_file
from qdiag.reading.words.commands.shell import as_argument, command_line

_VALUES_OF_SCHEMES = ("--set", "--arithmetic")
"""Options that say what the repaired file says itself, or that the check chooses by its runtime."""


def file_commands(diagnosis: Diagnosis, model: str, words: Sequence[str]) -> tuple[str, ...]:
    """`qdiag diagnose net.onnx --quantized int8.onnx ... --repaired int8.fixed.onnx`, and `qdiag verify` of that file.

    The second one alone where the file was written already; none where nothing helps.

    Args:
        model, words: the model, and options that say which data and file.
    """
    file = diagnosis.measurement.deployed
    if file is None or not changes_file(diagnosis.ranking):
        return ()
    if diagnosis.repaired_file:
        return (_check(model, words, diagnosis.repaired_file),)
    target = fixed_file(file.source)
    short = ["--no-sensitivity", "--no-bits"]
    repair = command_line(["diagnose", as_argument(model), *words, *short, "--repaired", as_argument(target)])
    return (repair, _check(model, words, target))


def _check(model: str, words: Sequence[str], target: str) -> str:
    """The repaired file in its runtime, beside the float network."""
    kept, skips = list[str](), False
    for word in words:
        if skips:
            skips = False
        elif word in ("--quantized", *_VALUES_OF_SCHEMES):
            skips = True
        elif word != "--no-fold" and not word.startswith("--set="):
            kept.append(word)
    return command_line(["verify", as_argument(model), *kept, "--quantized", as_argument(target)])
