"""What is wrong with a command line is told before torch is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

WATCH = """
import sys
import qdiag.cli.app
try:
    qdiag.cli.app.main()
finally:
    print("torch" in sys.modules)
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sqnr", "nowhere.pt2"), "no such file"),
        (("diagnose", "zoo:resnet18", "--data", "nowhere/"), "no such file or folder"),
        (("diagnose", "zoo:resnet18", "--calib-data", "nowhere.npz"), "no such file or folder"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_without_torch(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCH, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("diagnos",)])
def test_what_all_commands_are_called_is_told_without_importing_them(words: tuple[str, ...]) -> None:
    watch = WATCH.replace('"torch"', '"qdiag.core.measures"')
    done = subprocess.run([sys.executable, "-c", watch, *words], capture_output=True, text=True, check=False)
    assert done.returncode == (2 if words == ("diagnos",) else 0)
    assert done.stdout.split()[-1] == "False"
    assert words != ("--help",) or "diagnose" in done.stdout
