"""What a file's first look shows is refused before anything large is imported: wrong runtimes, formats and packages."""

import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import qdiag.cli.run
from qdiag.cli.app import app
from qdiag.errors import QdiagError
from qdiag.loaders.stored_network import encoding_of, holds_integers
from qdiag.onnx.wire.fields import entry

IR_VERSION = b"\x08\x08"


def onnx_of(*operators: str) -> bytes:
    """A model with nodes of these operators, without tensors."""
    nodes = b"".join(entry(1, entry(4, name.encode())) for name in operators)
    return IR_VERSION + entry(2, b"test") + entry(7, nodes)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With small files, in a process that may not go on to a run."""

    def run() -> None:
        raise AssertionError("the run began")

    monkeypatch.setattr(qdiag.cli.run, "prepare_process", run)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").write_bytes(onnx_of("Conv", "Relu"))
    (tmp_path / "int8.onnx").write_bytes(onnx_of("QuantizeLinear", "Conv"))
    (tmp_path / "packed.onnx").write_bytes(onnx_of("QLinearConv"))
    (tmp_path / "w.safetensors").write_bytes(bytes(64))
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 3, 8, 8), np.float32))
    return tmp_path


def refused(command: str) -> str:
    """What and where, on a command line that a reader of it would understand."""
    error = CliRunner().invoke(app, command.split()).exception
    assert isinstance(error, QdiagError), error
    return f"{error} [{error.hint}]"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("verify int8.onnx --data data.npz --runtime xnnpack", "--runtime: xnnpack does not run int8.onnx"),
        ("verify net.onnx --quantized packed.onnx --data data.npz --runtime tflite", "tflite does not run packed.onnx"),
        ("verify net.onnx --quantized net.onnx --data data.npz", "net.onnx is not quantized"),
        ("sqnr net.onnx --quantized net.onnx --data data.npz", "net.onnx is not quantized"),
        ("gate net.onnx --quantized net.onnx --data data.npz --max-drop 1", "net.onnx is not quantized"),
        ("diagnose net.onnx --quantized data.npz --data data.npz", "data.npz is neither an ONNX nor a LiteRT file"),
        ("verify net.onnx --quantized w.safetensors --data data.npz", "[give an ONNX file with QuantizeLinear"),
        ("sqnr net.onnx --quantized zoo:resnet18 --data data.npz", "zoo:resnet18 is neither an ONNX nor"),
        ("repair int8.onnx --with equalize -o new.onnx --data data.npz", "int8.onnx: this file is quantized already"),
        ("fix-bn packed.onnx -o new.onnx --data data.npz", "packed.onnx: this file is quantized already"),
        ("qat int8.onnx -o new.onnx --data data.npz", "int8.onnx: this file is quantized already"),
        ("diagnose net.onnx --repaired new.onnx --data data.npz", "--repaired: no quantized file is given"),
        ("export net.onnx -o new.pt --data data.npz", "new.pt: the name says no format of integer files"),
        ("fold zoo:resnet18", "no --data, and no shape to draw inputs in [give --data PATH, or --input-shape 1,3,224"),
        ("fix-bn zoo:resnet18 -o new.pt2", "no --data, and no shape to draw inputs in"),
        ("repair ./net.py:build --with equalize -o new.pt2", "no --data, and no shape to draw inputs in"),
        ("export zoo:resnet18 -o new.onnx", "no --data, and no shape to draw inputs in"),
        ("export ./net.py:build --for tensorrt -o new.json", "no --data, and no shape to draw inputs in"),
        ("verify zoo:resnet18", "no --data, and no shape to draw inputs in"),
        ("verify net.onnx --quantized int8.onnx --targets t.npy", "--targets needs --data"),
        ("gate zoo:resnet18 --max-drop 1", "no --data, and no shape to draw inputs in"),
        ("sqnr net.onnx --calib-data data.npz", "--calib-data needs --data"),
        ("diagnose net.onnx --preset tf", "options of preprocessing need --data"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_does_not_fit_a_file_is_refused_before_the_run(command: str, message: str) -> None:
    assert message in refused(command)


@pytest.mark.parametrize(
    ("module", "command", "message"),
    [
        (
            "onnx",
            "sqnr net.onnx --data data.npz",
            "reading ONNX files needs the package onnx [pip install 'qdiag[onnx]",
        ),
        ("onnx_ir", "check net.onnx", "reading ONNX files needs the package onnx-ir [pip install 'qdiag[onnx]"),
        ("onnx_ir", "diagnose zoo:resnet18 --quantized int8.onnx --data data.npz", "needs the package onnx-ir"),
        ("onnx", "gate net.onnx --max-drop 1 --data data.npz", "reading ONNX files needs the package onnx"),
        ("onnx", "export zoo:resnet18 -o new.onnx --data data.npz", "writing ONNX files needs the package onnx"),
        ("onnxruntime", "verify net.onnx --quantized int8.onnx --data data.npz", "needs the package onnxruntime"),
        ("onnxruntime", "verify zoo:resnet18 --data data.npz", "onnxruntime [pip install 'qdiag[onnx,ort]'"),
        ("ai_edge_litert", "check lite.tflite", "reading LiteRT files needs the package ai-edge-litert"),
        ("ai_edge_litert", "export zoo:resnet18 -o new.tflite --data data.npz", "writing LiteRT files needs"),
        ("ai_edge_litert", "verify zoo:resnet18 --data data.npz --runtime tflite", "[pip install 'qdiag[litert]'"),
    ],
)
def test_a_package_that_is_missing_is_told_before_the_run(
    module: str, command: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "lite.tflite").write_bytes(b"\x14\0\0\0TFL3" + bytes(64))
    monkeypatch.setitem(sys.modules, module, None)
    assert message in refused(command)


@pytest.mark.usefixtures("folder")
def test_a_file_that_cannot_be_looked_into_is_left_to_its_reader() -> None:
    assert [holds_integers(name) for name in ("net.onnx", "int8.onnx", "packed.onnx")] == [False, True, True]
    whole = onnx_of("Conv", "QuantizeLinear")
    Path("cut.onnx").write_bytes(whole[:-3])
    Path("cut.tflite").write_bytes(b"\xff\xff\xff\0TFL3" + bytes(64))
    Path("none.tflite").write_bytes(b"\x14\0\0\0TFL3")
    assert [encoding_of(name) for name in ("cut.onnx", "cut.tflite", "data.npz")] == ["ONNX", "LiteRT", None]
    assert [holds_integers(n) for n in ("cut.onnx", "cut.tflite", "none.tflite", "data.npz", "no.onnx")] == [None] * 5
