"""`qdiag export` from the command line to the file in onnxruntime."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qdiag.cli.app import run
from qdiag.runtimes.onnxruntime import OnnxruntimeNetwork
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.diagnoses import healthy_diagnosis
from tests.e2e.measuring import make_inputs

pytest.importorskip("onnxruntime")
from tests.networks.onnx_files import node, onnx_bytes

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    make_inputs(folder)
    return folder


def arguments(folder: Path, *more: str) -> list[str]:
    data = ("--data", str(folder / "data.npz"), "--no-cache", "-q")
    return ["export", str(folder / "net.pt2"), *data, *more]


def deployed_accuracy(folder: Path, file: Path) -> float:
    """Share of right answers of the file in onnxruntime."""
    with np.load(folder / "data.npz") as data:
        images, labels = data["images"], data["labels"]
    (name,) = OnnxruntimeNetwork(file.read_bytes()).inputs
    (answers,) = OnnxruntimeNetwork(file.read_bytes()).run({name: images}).outputs.values()
    return float((answers.argmax(1) == labels).mean())


def test_repaired_and_written(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    """What the repair recovers in the simulation is there in onnxruntime."""
    plain, repaired = tmp_path / "int8.onnx", tmp_path / "repaired.onnx"
    scheme = ("--scheme", "tf-uint8")
    assert run(arguments(folder, "-o", str(plain), *scheme)) == 0
    capsys.readouterr()
    words = ("-o", str(repaired), "--with", "equalize,per_channel_weights", "--json", "-")
    assert run(arguments(folder, *words, *scheme)) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [(step["repair"], step["refused"]) for step in report["repairs"]] == [
        ("equalize", None),
        ("per_channel_weights", None),
    ]
    assert report["operations"]["integer"] == {"QLinearConv": 2, "QGemm": 1}
    assert report["operations"]["integer_count"] == 3
    assert report["operations"]["floating"] == []
    assert report["byte_count"] == repaired.stat().st_size
    assert deployed_accuracy(folder, repaired) > deployed_accuracy(folder, plain) + 0.2


def test_what_a_diagnosis_proposes(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    """Scheme, repairs and layers are those of the stored diagnosis, and the file answers as it promised."""
    short, data = ("--no-sensitivity", "--no-bits", "-q", "--no-cache"), ("--data", str(folder / "data.npz"))
    stored, target = tmp_path / "diagnosis.json", tmp_path / "int8.onnx"
    words = ("--scheme", "tf-uint8", "--json", str(stored))
    assert run(["diagnose", str(folder / "net.pt2"), *data, *short, *words]) == 0
    found = json.loads(stored.read_text(encoding="utf-8"))
    promised = found["ranking"]["waterfall"][-1]["after"]["task"]["figures"][0]["simulated"]
    before = found["ranking"]["before"]["task"]["figures"][0]["simulated"]
    capsys.readouterr()
    assert run(arguments(folder, "-o", str(target), "--repairs-of", str(tmp_path), "--json", "-")) == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["scheme"]["name"].startswith("tf-uint8")
    made = [step["repair"] for step in report["repairs"] if step["refused"] is None]
    assert made == [step["repair"] for step in found["ranking"]["waterfall"]] and made
    assert 100.0 * deployed_accuracy(folder, target) == pytest.approx(promised, abs=4.0)
    assert promised > before + 20.0


def test_in_float_by_name(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "int8.onnx"
    assert run(arguments(folder, "-o", str(target), "--set", 'float_layers=["3"]')) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "2 operations with integers in onnxruntime" in shown
    assert "1 operation in float: Conv 3" in shown
    assert "in float layer 3: kept in float by the scheme" in shown
    assert "to calibrate, nothing is measured" in shown and "weights are integers in it" in shown
    assert "3" in {tensor.removesuffix("_quantized") for tensor in OnnxruntimeNetwork(target.read_bytes()).tensors}


def test_settings_in_place_of_a_network(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    target = tmp_path / "settings.json"
    assert run(arguments(folder, "-o", str(target), "--for", "openvino", "--with", "keep_float", "--layers", "7")) == 0
    assert json.loads(target.read_text(encoding="utf-8"))["ignored_scope"]["names"] == ["7"]
    shown = " ".join(capsys.readouterr().out.split())
    assert "in float: layer 7" in shown
    assert "the names are those of the layers here" in shown


def test_a_mean_that_the_runtime_computes_in_float(tmp_path: Path, capsys: Capture) -> None:
    """ReduceMean over whole images stays one in the file of a network that has it."""
    rng = np.random.default_rng(0)
    constants = {"w": rng.standard_normal((64, 3, 1, 1)).astype(np.float32), "axes": np.asarray([2, 3])}
    nodes = [node("Conv", "x w", "c", "conv"), node("ReduceMean", "c axes", "y", "mean", keepdims=0)]
    model, data = tmp_path / "net.onnx", tmp_path / "data.npz"
    model.write_bytes(onnx_bytes(nodes, {"x": ("float32", ("n", 3, 7, 6))}, constants, opset=18))
    np.savez(data, x=rng.standard_normal((200, 3, 7, 6)).astype(np.float32))
    words = ("--data", str(data), "--no-cache", "-q", "--json", "-")
    assert run(["verify", str(model), *words, "--runtime", "ort"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["op"] for one in found["operations"]["floating"]] == ["ReduceMean"]
    layers = {layer["layer"]: layer for layer in found["layers"]}
    assert layers["conv"]["differing_count"] == 0 and layers["conv"]["reason"] is None
    assert layers["mean"]["differing_count"] > 0 and layers["mean"]["largest_steps"] == 1
    reason = "the runtime computes ReduceMean in float, and the simulation follows a kernel of integers"
    assert layers["mean"]["reason"] == reason


def test_what_is_refused(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    there = tmp_path / "there.onnx"
    there.write_bytes(b"something")
    (tmp_path / "diagnosis.json").write_text(diagnosis_to_json(healthy_diagnosis()), encoding="utf-8")
    out = ("-o", str(tmp_path / "new.onnx"))
    wrong: dict[tuple[str, ...], str] = {
        (): "it is not said where the file is to be written",
        ("-o", str(there)): "there is such a file already",
        ("-o", str(tmp_path / "net.int8")): "says no format of integer files",
        (*out, "--with", "fuse_branches"): "gives a network of other layers",
        (*out, "--with", "replace_relu6"): "ReLU6 is code, not weights",
        (*out, "--with", "unknown"): "there is no repair 'unknown'",
        (*out, "--scheme", "mxfp8"): "rounds what it multiplies as it reads it",
        (*out, "--repairs-of", str(tmp_path)): "proposes no repair",
        (*out, "--repairs-of", str(tmp_path), "--with", "equalize"): "exclude each other",
    }
    for words, message in wrong.items():
        assert run(arguments(folder, *words)) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert there.read_bytes() == b"something"
    assert not (tmp_path / "new.onnx").exists()


def test_verified_as_written_and_as_exported(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    """Every integer is the same, in a file that is read back too; and a limit that breaks."""
    target, data = tmp_path / "int8.onnx", ("--data", str(folder / "data.npz"), "--no-cache", "-q")
    assert run(arguments(folder, "-o", str(target))) == 0
    capsys.readouterr()
    model = str(folder / "net.pt2")
    for words in ((), ("--quantized", str(target))):
        assert run(["verify", model, *data, *words, "--json", "-"]) == 0
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert [layer["layer"] for layer in result["layers"]] == ["input:input", "0", "3", "7"]
        assert result["differing_count"] == 0
        assert result["equal_count"] == result["sample_count"] == 64
        assert result["scheme"]["arithmetic"] == "ort"
    assert run(["verify", model, *data, "--quantized", str(target), "--max-drop", "1"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "all 39,232 integers of 4 layers are equal" in shown
    assert "outputs equal on all 64 samples" in shown
    assert "failed: the deployed network loses" in shown
    assert "The deployed network is harmed: the loss of top-1 is" in shown and "`" not in shown
    assert run(["verify", model, *data, "--quantized", str(target), "--order", "graph"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Passed: the runtime computes what the simulation says, within the limits." in shown
    assert "and harm begins beyond 1.0 pp. --max-drop makes that a failure." in shown
