"""What `qdiag rank` and `qdiag diagnose` print, on a wide and on a narrow terminal."""

import io
from collections.abc import Callable
from importlib.metadata import version

import pytest

from qdiag.cli.app import run
from qdiag.cli.console import PrintableConsole
from qdiag.cli.tables.ranking import print_ranking
from qdiag.core.diagnosis import Diagnosis
from tests.diagnoses import diagnosis, doubtful_diagnosis, healthy_diagnosis, unlabelled_diagnosis
from tests.golden.test_golden import HELP_WRITTEN_WITH

Check = Callable[[str, str], None]


def printed(found: Diagnosis, width: int) -> str:
    file = io.StringIO()
    print_ranking(PrintableConsole(file=file, width=width, highlight=False, color_system=None), found)
    return "".join(line.rstrip() + "\n" for line in file.getvalue().splitlines())


@pytest.mark.parametrize(
    ("name", "found", "width", "must_say"),
    [
        ("harmed", diagnosis(), 120, "1. QD301 dead BatchNorm channels set the weight range"),
        ("narrow", diagnosis(), 80, "qdiag fix-bn net.safetensors -o net.fixed.safetensors"),
        ("healthy", healthy_diagnosis(), 100, "Nothing to repair"),
        ("unlabelled", unlabelled_diagnosis(), 100, "agreement pp"),
        ("doubtful", doubtful_diagnosis(), 100, "To look again with other inputs:"),
    ],
)
def test_ranking(name: str, found: Diagnosis, width: int, must_say: str, check_golden: Check) -> None:
    text = printed(found, width)
    assert must_say in text
    table = text[: text.find("To repair it:")]  # commands are never broken: they are to be pasted
    assert all(len(line) <= width for line in table.splitlines() if not line.startswith("  qdiag "))
    assert "…" not in table.partition("suspects")[2], "names are told in full, in two lines if need be"
    check_golden(f"table_ranking_{name}.txt", text)


@pytest.mark.parametrize("command", ["diagnose", "rank", "sensitivity"])
def test_help(
    command: str, check_golden: Check, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COLUMNS", "100"), ("TERMINAL_WIDTH", "100"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    if not version("typer").startswith(f"{HELP_WRITTEN_WITH}."):
        pytest.skip(f"the help was written down with typer {HELP_WRITTEN_WITH}, whose frames differ from others'")
    assert run([command, "--help"]) == 0
    text = "".join(line.rstrip() + "\n" for line in capsys.readouterr().out.splitlines())
    check_golden(f"help_{command}.txt", text)
