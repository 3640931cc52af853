"""The commands that write a repaired quantized file and check it."""

from collections.abc import Sequence
from pathlib import PurePath

from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.words.commands.shell import as_argument, command_line

_VALUES_OF_SCHEMES = ("--set", "--arithmetic")
"""Options that say what the repaired file says itself, or that the check chooses by its runtime."""


def file_commands(diagnosis: Diagnosis, model: str, words: Sequence[str]) -> tuple[str, ...]:
    """`qdiag diagnose net.onnx --quantized int8.onnx ... --repaired int8.fixed.onnx`, and `qdiag verify` of that file.

    The second one alone where the file was written already; none where nothing helps.

    Args:
        model, words: the model, and options that say which data and file.
    """
    ranking, file = diagnosis.ranking, diagnosis.measurement.deployed
    has_way = ranking.way_around is not None and bool(ranking.way_around.settings)
    if file is None or not (ranking.waterfall or has_way):
        return ()
    if diagnosis.repaired_file:
        return (_check(model, words, diagnosis.repaired_file),)
    path = PurePath(file.source)
    target = str(path.with_name(f"{path.stem}.fixed{path.suffix}"))
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
