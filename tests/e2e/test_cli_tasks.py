"""`qdiag diagnose` on the planted networks of every task, and the commands that it prints, run as they stand."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import pytest

from qdiag.cli.app import run
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import Figure
from qdiag.reading.words.commands.repairing import commands, way_around_commands
from qdiag.writers.json.diagnosis import read_diagnosis
from qdiag.writers.json.measurement import from_json
from tests.planted.tasks import preset
from tests.planted.tasks.files import TaskFiles, write_program, write_task_files
from tests.planted.tasks.registry import FAULTY, HEALTHY
from tests.wrapped_commands import on_one_line

FEW, FEW_OF_DETECTORS = 48, 24
"""Samples: each fault costs so much that these show it; `tests/planted/tasks` diagnoses with more."""
FAST = ("--no-bits", "--no-sensitivity", "--quiet")


def write_few(name: str, folder: Path) -> TaskFiles:
    return write_task_files(name, folder, sample_count=FEW_OF_DETECTORS if "detector" in name else FEW)


def _measured(arguments: Sequence[str], path: Path) -> Figure:
    """The judged figure of a `qdiag sqnr` command."""
    assert run([*arguments, "--quiet", "--json", str(path)]) == 0
    judged = from_json(path.read_text(encoding="utf-8")).task.judged
    assert judged is not None
    return judged


def _after(line: str, files: TaskFiles, path: Path) -> Figure:
    """What is left to lose when a printed command has been run."""
    words = shlex.split(line, comments=True)
    assert words[0] == "qdiag"
    if words[1] == "sqnr":
        return _measured(words[1:], path)
    assert run([*words[1:], "--quiet"]) == 0
    fixed = words[words.index("-o") + 1]
    return _measured(
        ["sqnr", fixed, "--arch", files.architecture, "--data", str(files.data), "--metric", files.metric], path
    )


def _shown_and_gated(found: Diagnosis, folder: Path) -> None:
    """The user's metric comes first in both reports, and a gate on it fails."""
    harm = found.ranking.harm
    assert harm.criterion is not None
    for report in ("report.md", "report.html"):
        text = (folder / report).read_text(encoding="utf-8")
        assert 0 <= text.find(harm.criterion.name) < text.find("output SQNR")
    assert run(["gate", str(folder), "--max-metric-drop", str(harm.value / 2.0), "--allow-few-samples"]) == 1


@pytest.mark.usefixtures("one_picture_drawn")
@pytest.mark.parametrize("name", FAULTY)
def test_the_printed_commands_repair_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = write_few(name, tmp_path)
    assert run(["diagnose", *files.by_weights, "--metric", files.metric, *FAST, "--out", "found"]) == 0
    text = on_one_line(capsys.readouterr().out)
    found = read_diagnosis(tmp_path / "found")
    harm = found.ranking.harm
    assert harm.verdict == "harmed"
    assert "Nothing to repair" not in text
    _shown_and_gated(found, tmp_path / "found")

    lines = list(commands(found))
    around = found.ranking.way_around
    if around is not None:
        lines += way_around_commands(found, around)
    assert all(line in text for line in lines)
    to_run = [line for line in lines if not line.startswith("#")]  # what is done in the network's code is a comment
    assert to_run, text
    left = []
    for i, line in enumerate(to_run):
        left.append(_after(line, files, tmp_path / f"after{i}.json").loss)
    assert min(left) <= 0.4 * harm.value


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_proposed_for_a_healthy_twin(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = write_few(name, tmp_path)
    assert run(["diagnose", *files.by_weights, "--metric", files.metric, *FAST]) == 0
    text = capsys.readouterr().out
    found = (
        "Nothing to repair",
        "No harm was measured, but the samples are too few to be sure",
        "No harm measured, with a reservation",
    )
    assert any(words in text for words in found)
    assert ("with a reservation" in text) == ("stay in float, more than a tenth" in " ".join(text.split()))
    assert "To repair it" not in text


def _float_top1(words: Sequence[str], path: Path) -> float:
    figure = _measured(["sqnr", *words], path)
    assert figure.criterion.name == "top-1"
    return figure.reference


def test_a_preset_makes_the_float_network_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model, photographs = tmp_path / "net.pt2", preset.write_photographs(tmp_path)
    write_program(preset.build(), preset.photographs(2, 3).prepared(preset.RIGHT).inputs, model)
    words = [str(model), "--data", str(photographs)]
    assert _float_top1(words, tmp_path / "wrong.json") <= 100.0 * preset.MOST_WRONG
    assert _float_top1([*words, "--preset", preset.RIGHT], tmp_path / "right.json") >= 100.0 * preset.LEAST_RIGHT
    capsys.readouterr()
    assert run(["diagnose", *words, *FAST]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(rf"float top-1 is \d+ %; with --preset {preset.RIGHT} it is (9\d|100) %", said)
    assert run(["diagnose", *words, *FAST, "--preset", preset.RIGHT]) == 0
    assert "float top-1 is" not in capsys.readouterr().out
