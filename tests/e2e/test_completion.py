"""Shells ask qdiag itself what may follow; it answers from the one command that stands there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qdiag.cli.app import COMMANDS, run
from tests.forks.forking import Forks

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import sys
from qdiag.cli.app import run
run()
loaded = [name for name in sys.modules if name in ("torch", "qdiag.cli.commands.sqnr", "qdiag.cli.commands.gate")]
print(",".join(loaded), file=sys.stderr)
"""


def ask(line: str, shell: str = "bash", forks: Forks | None = None) -> tuple[list[str], list[str]]:
    """Proposals for a line as far as it is typed, and which of three modules it took.

    Args:
        forks: makes the process, which is faster; gate is imported there already.
    """
    words = line.split()
    place = len(words) if line.endswith(" ") else len(words) - 1
    asked = {"COMP_WORDS": line, "COMP_CWORD": str(place), "_TYPER_COMPLETE_ARGS": line}
    if shell != "bash":
        del asked["COMP_WORDS"]
    asked |= {"_QDIAG_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    asked = {**os.environ, **asked, "PYTHONPATH": str(ROOT)}
    if forks is not None:
        done = forks.run([], ROOT, code=ASK, variables=asked)
    else:
        started = [sys.executable, "-c", ASK]
        done = subprocess.run(started, env=asked, capture_output=True, text=True, check=False)
    return done.stdout.split("\n"), [name for name in done.stderr.strip().split(",") if name]


def test_commands_are_proposed_in_the_order_of_the_help(forks: Forks) -> None:
    proposed, loaded = ask("qdiag ")
    assert [name for name in proposed if name] == [name for name, _, _ in COMMANDS]
    assert "torch" not in loaded
    assert [name for name in ask("qdiag ga", forks=forks)[0] if name] == ["gate"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_options_come_from_the_one_command(shell: str) -> None:
    proposed, loaded = ask("qdiag gate --max-d", shell)
    assert any("--max-drop" in line for line in proposed)
    assert not any("--min-sqnr" in line for line in proposed)
    assert loaded == ["qdiag.cli.commands.gate"]


def test_choices_are_proposed(forks: Forks) -> None:
    assert [name for name in ask("qdiag cache ", forks=forks)[0] if name] == ["info", "clear"]
    assert "imagenet" in ask("qdiag sqnr net.pt2 --preset ", forks=forks)[0]


def test_the_script_for_a_shell_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # otherwise typer asks which shell started this process, and under make that is none that it knows
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert run(["--show-completion", "bash"]) == 0
    assert "complete -o default -F _qdiag_completion qdiag" in capsys.readouterr().out
