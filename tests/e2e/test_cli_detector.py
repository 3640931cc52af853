"""Detectors with non-maximum suppression in their files through the commands, also with a batch that is fixed at 1."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx_ir")
import onnx
import onnxruntime as ort

from qdiag.cli.app import app
from tests.networks.detectors import SIZE, onnx_detector

X = np.random.default_rng(0).standard_normal((12, 3, SIZE, SIZE)).astype(np.float32)
LEFT_OUT = "the end of the file is not measured: NonMaxSuppression (nms) and 2 operators behind it"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("detector")
    (made / "net.onnx").write_bytes(onnx_detector("gathered"))
    (made / "one.onnx").write_bytes(onnx_detector("gathered", samples=1))
    np.savez(made / "data.npz", x=X)
    return made


def run(folder: Path, command: str, *arguments: str) -> str:
    names = [str(folder / one) if one.endswith(".onnx") else one for one in arguments]
    result = CliRunner().invoke(app, [command, *names, "--data", str(folder / "data.npz"), "--no-cache"])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def measured(folder: Path, name: str) -> Any:
    return json.loads(run(folder, "sqnr", name, "--json", "-", "-q"))


@pytest.mark.parametrize("name", ["net.onnx", "one.onnx"])
def test_the_file_that_is_written_keeps_its_end_and_is_verified(folder: Path, name: str) -> None:
    """Whatever number of samples the file allows: the runtime gets as many at once."""
    shown = run(folder, "export", name, "-o", f"int8_{name}")
    assert LEFT_OUT in shown and "it ends as the model's own file does, in NonMaxSuppression" in shown
    written = onnx.load(folder / f"int8_{name}")
    assert [one.name for one in written.graph.output] == ["found", "selected", "count"]
    found = ort.InferenceSession(folder / f"int8_{name}").run(["selected"], {"x": X[:1]})[0]
    assert found.shape[1] == 3
    verified = run(folder, "verify", name, "--quantized", f"int8_{name}")
    assert LEFT_OUT in verified and "integers all 26,112 integers of 6 layers are equal" in verified
    assert "outputs equal on all 12 samples" in verified


def test_a_batch_of_one_is_measured_sample_by_sample_with_the_same_figures(folder: Path) -> None:
    many, one = (measured(folder, name) for name in ("net.onnx", "one.onnx"))
    assert (many["capture"]["batch_size"], one["capture"]["batch_size"]) == (None, 1)
    assert many["data"]["measured_count"] == one["data"]["measured_count"] > 1
    assert [row["name"] for row in many["capture"]["left_out"]] == ["nms", "places", "found_boxes"]
    for first, second in zip(many["outputs"], one["outputs"], strict=True):
        assert first["name"] == second["name"]
        sums = [(row["error"]["reference_sq_sum"], row["error"]["error_sq_sum"]) for row in (first, second)]
        assert sums[0] == pytest.approx(sums[1], rel=1e-6)
