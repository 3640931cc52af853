"""The command that writes a repaired quantized file."""

from collections.abc import Sequence
from pathlib import PurePath

from qdiag.core.causes.ranking import Ranking
from qdiag.core.measures.deployed.file import DeployedFile
from qdiag.reading.words.commands.shell import as_argument, command_line


def file_commands(file: DeployedFile, ranking: Ranking, model: str, words: Sequence[str]) -> tuple[str, ...]:
    """`qdiag diagnose net.onnx --quantized int8.onnx ... --repaired int8.fixed.onnx`; none where nothing helps.

    Args:
        model, words: the model, and options that say which data and file.
    """
    has_way = ranking.way_around is not None and bool(ranking.way_around.settings)
    if not ranking.waterfall and not has_way:
        return ()
    path = PurePath(file.source)
    target = str(path.with_name(f"{path.stem}.fixed{path.suffix}"))
    short = ["--no-sensitivity", "--no-bits"]
    return (command_line(["diagnose", as_argument(model), *words, *short, "--repaired", as_argument(target)]),)
