"""report.md word for word, of a harmed, a healthy and an unlabelled network."""

from collections.abc import Callable
from importlib.metadata import version

import pytest

from qdiag.cli.app import run
from qdiag.core.diagnosis import Diagnosis
from qdiag.writers.markdown.report import markdown_report
from qdiag.writers.markdown.text import PictureLink
from tests.diagnoses import diagnosis, doubtful_diagnosis, healthy_diagnosis, unlabelled_diagnosis
from tests.golden.test_golden import HELP_WRITTEN_WITH

LINKS = (
    PictureLink("causes", "What each repair recovers", "plots/causes.png"),
    PictureLink("sqnr", "SQNR by layer", "plots/sqnr.png"),
    PictureLink("channels", "Weight range of blocks.0.dw", "plots/layer002_blocks.0.dw_channels.png", "blocks.0.dw"),
)


@pytest.mark.parametrize(
    ("name", "found", "must_say"),
    [
        ("harmed", diagnosis(), "qdiag fix-bn net.safetensors -o net.fixed.safetensors"),
        ("healthy", healthy_diagnosis(), "**Nothing to repair"),
        ("unlabelled", unlabelled_diagnosis(), "agreement with the float network's own answers, not accuracy"),
        ("doubtful", doubtful_diagnosis(), "The inputs do not seem to be prepared as in training"),
    ],
)
def test_report(name: str, found: Diagnosis, must_say: str, check_golden: Callable[[str, str], None]) -> None:
    text = markdown_report(found, LINKS)
    assert must_say in text
    check_golden(f"report_{name}.md", text)


def test_report_help(
    check_golden: Callable[[str, str], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COLUMNS", "100"), ("TERMINAL_WIDTH", "100"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    if not version("typer").startswith(f"{HELP_WRITTEN_WITH}."):
        pytest.skip(f"the help was written down with typer {HELP_WRITTEN_WITH}, whose frames differ from others'")
    assert run(["report", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    check_golden("help_report.txt", "".join(line.rstrip() + "\n" for line in lines))
