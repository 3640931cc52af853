"""`--arithmetic ort` of the commands that measure."""

from pathlib import Path

import pytest

from qdiag.cli.app import run
from tests.e2e.measuring import command_line, make_inputs, result


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


def test_the_gate_computes_as_onnxruntime_does(inputs: Path, tmp_path: Path) -> None:
    assert run([*command_line("gate for causes", inputs, tmp_path), "--arithmetic", "ort", "--quiet"]) == 1
    verdict = result("gate for causes", tmp_path).read_text(encoding="utf-8")
    assert "QD301" in verdict


def test_the_table_names_the_rules(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["sqnr", str(inputs / "net.pt2"), "--data", str(inputs / "data.npz"), "--quiet"]
    assert run([*line, "--arithmetic", "ort"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "int8 (arithmetic=ort)" in shown
    assert "integers by the rules of onnxruntime" in shown
