"""`qdiag export -o int8.tflite` and `qdiag verify` with LiteRT: every integer of the file is that of the simulation."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ai_edge_litert")
from qdiag.cli.app import run
from tests.e2e.measuring import make_inputs

Capture = pytest.CaptureFixture[str]
LAYERS = ["input:input", "0", "3", "7"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export_litert")
    make_inputs(folder)
    return folder


def test_written_and_verified(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As it is written, and read back; nothing else is printed."""
    target, model = tmp_path / "int8.tflite", str(folder / "net.pt2")
    data = ("--data", str(folder / "data.npz"), "--no-cache", "-q")
    assert run(["export", model, *data, "-o", str(target), "--json", "-"]) == 0
    report: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert report["format"] == "LiteRT" and report["byte_count"] == target.stat().st_size
    assert report["operations"]["integer"] == {"CONV_2D": 2, "FULLY_CONNECTED": 1}
    assert report["operations"]["floating"] == [] and report["fallen_back"] == []
    for words in (("--runtime", "tflite-ref"), ("--quantized", str(target))):
        assert run(["verify", model, *data, *words, "--json", "-"]) == 0
        seen = capfd.readouterr()
        result: dict[str, Any] = json.loads(seen.out)
        assert not seen.err
        assert [layer["layer"] for layer in result["layers"]] == LAYERS
        assert result["differing_count"] == 0
        assert result["equal_count"] == result["sample_count"] == 64
        assert result["scheme"]["arithmetic"] == ("xnnpack" if words[0] == "--quantized" else words[1])
