"""`qdiag demo`: the story on screen, the files, and that every command it proposes does what it says."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from qdiag.cli.app import run
from qdiag.cli.commands.demo import next_commands
from qdiag.core.diagnosis import Diagnosis
from qdiag.writers.json.diagnosis import read_diagnosis
from tests.diagnoses import diagnosis
from tests.figures import top1_of


@pytest.mark.slow
@pytest.mark.usefixtures("one_layer_drawn")
def test_the_demo_tells_the_story_and_its_commands_carry_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("made") / "for it"
    assert run(["demo", "--out", str(out), "--quiet"]) == 0
    captured = capsys.readouterr()
    text = captured.out
    assert captured.err == ""
    found = read_diagnosis(out)
    _check_diagnosis(found)
    story = ("Quantization costs", "1. QD301", "To repair it:", "For contrast, int8", "What is wrong with it", "Open")
    assert sorted(story, key=text.index) == list(story), "the verdict first, then why, then what to do"
    named = re.findall(r"^  (made/for it/\S+)  ", text, re.MULTILINE)
    assert len(named) >= 5
    assert [name for name in named if not Path(name).exists()] == []

    _, _, tail = text.partition("Repair it, see what that changed")
    lines = [line.strip() for line in tail.splitlines() if line.startswith("  qdiag ")]
    said = [re.search(r"# .*exit code (\d)", line) for line in lines]
    codes = {}
    for line, comment in zip(lines, said, strict=True):
        arguments = shlex.split(line, comments=True)[1:]
        if arguments[0] == "diagnose":
            arguments += ["--no-sensitivity", "--no-bits"]  # neither is what this is about
        codes[line] = run(arguments)
        assert codes[line] == (int(comment[1]) if comment else 0)
    assert sorted(codes.values()) == [0, 0, 0, 0, 0, 1]
    assert read_diagnosis(out / "fixed").ranking.harm.verdict == "healthy"
    assert "Better" in capsys.readouterr().out


def _check_diagnosis(found: Diagnosis) -> None:
    top1 = top1_of(found.ranking.before.task)
    assert top1 is not None
    assert top1.drop_pp > 40.0
    (cause,) = found.ranking.claimed
    assert cause.code == "QD301"
    assert {int(layer.split(".")[1]) for layer in cause.layers} == {0, 1, 2, 5}
    assert found.ranking.remainder < 1.0
    by_bits = {point.bits: point.score.output_sqnr_db for point in found.bits}
    assert by_bits[16] > by_bits[12] > by_bits[10] > by_bits[8], "more bits, less noise: no bias overflows"


def test_a_shell_without_qdiag_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / "bin" / "activate").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "env"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert next_commands(diagnosis(), Path("net.pt2"), Path("out"))[0] == ". env/bin/activate"
    (tmp_path / "qdiag").touch(mode=0o755)
    assert next_commands(diagnosis(), Path("net.pt2"), Path("out"))[0].startswith("qdiag fix-bn")


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run(["demo", "--out", str(tmp_path / "file" / "demo")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert str(tmp_path / "file" / "demo") in captured.err.replace("\n", "")
