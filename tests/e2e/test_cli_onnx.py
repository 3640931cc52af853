"""An ONNX file through the commands: measured, repaired in place of bytes, and run by onnxruntime afterwards."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx_ir")
import onnxruntime as ort

from qdiag.cli.app import app
from tests.networks.onnx_files import node, onnx_bytes, small_cnn

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("onnx")
    (made / "net.onnx").write_bytes(small_cnn())
    np.savez(made / "data.npz", x=RNG.standard_normal((24, 3, 8, 8)).astype(np.float32))
    return made


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_layers_are_shown_by_the_names_of_their_nodes(folder: Path) -> None:
    shown = run("sqnr", str(folder / "net.onnx"), "--data", str(folder / "data.npz"))
    assert "captured by onnx" in shown and "1 BatchNorm folded" in shown
    assert all(name in shown for name in ("/stem/Conv", "/block/Conv", "/block/Add", "/pool", "/head/Gemm", "input:x"))


def test_a_repaired_file_runs_in_onnxruntime(folder: Path) -> None:
    """Biases that are read as constants of the file are moved; all other bytes stay."""
    source, target = folder / "net.onnx", folder / "fixed.onnx"
    arguments = ["--data", str(folder / "data.npz"), "--with", "correct_bias", "--layers", "/block/Conv"]
    run("repair", str(source), "-o", str(target), "--float-bound", "1", *arguments)
    before, after = source.read_bytes(), target.read_bytes()
    assert before != after and len(before) == len(after)
    assert sum(a != b for a, b in zip(before, after, strict=True)) <= 8 * 4  # the bias of one layer
    x = RNG.standard_normal((4, 3, 8, 8)).astype(np.float32)
    old, new = (ort.InferenceSession(content).run(None, {"x": x})[0] for content in (before, after))
    assert 0.0 < np.abs(old - new).max() < 0.1


def test_inputs_are_drawn_in_the_shape_that_the_file_declares(folder: Path) -> None:
    weight = RNG.standard_normal((4, 6)).astype(np.float32)
    path = folder / "linear.onnx"
    path.write_bytes(
        onnx_bytes([node("Gemm", "x w", "y", "fc", transB=1)], {"x": ("float32", ["N", 6])}, {"w": weight})
    )
    assert "drawn inputs" in run("sqnr", str(path))
