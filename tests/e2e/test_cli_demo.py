"""`qdiag demo`: what it says to a shell without it, and to a folder that cannot be made.

The demo as a stranger gets it, and the commands that it proposes, are run by `test_wheel.py`.
"""

import sys
from pathlib import Path

import pytest

from qdiag.cli.app import run
from qdiag.cli.commands.demo import next_commands
from tests.diagnoses import diagnosis


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
