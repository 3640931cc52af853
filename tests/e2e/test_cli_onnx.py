"""An ONNX file through the commands: measured, repaired in place of bytes, and run by onnxruntime afterwards."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("onnx_ir")
import onnx
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


def test_a_batchnorm_is_repaired_whatever_its_tensors_are_called(folder: Path) -> None:
    """Exporters number the tensors of a file; a BatchNorm goes by the name of its node then too."""
    model = onnx.load_from_string(small_cnn())
    numbers = {tensor.name: f"t{i}" for i, tensor in enumerate(model.graph.initializer)}
    for tensor in model.graph.initializer:
        if tensor.name == "bn.running_var":
            variance = onnx.numpy_helper.to_array(tensor).copy()
            variance[3] = 1e-30  # the channel is dead
            tensor.CopyFrom(onnx.numpy_helper.from_array(variance, tensor.name))
        tensor.name = numbers[tensor.name]
    for one in model.graph.node:
        one.input[:] = [numbers.get(name, name) for name in one.input]
    source, target = folder / "numbered.onnx", folder / "numbered.fixed.onnx"
    source.write_bytes(model.SerializeToString())
    (audited,) = json.loads(run("bn", str(source), "--json", "-", "-q"))["records"]
    assert (audited["name"], audited["layer"]["name"]) == ("/bn", "/stem/Conv")
    data = ["--data", str(folder / "data.npz"), "--float-bound", "1"]
    assert "1 dead channel is repaired" in run("fix-bn", str(source), "-o", str(target), "--method", "mean", *data)
    (repaired,) = (t for t in onnx.load(target).graph.initializer if t.name == numbers["bn.running_var"])
    assert np.isclose(onnx.numpy_helper.to_array(repaired)[3], np.delete(variance, 3).mean())


def data_file(folder: Path, name: str) -> Path:
    """A network whose tensors stand in a file beside it, with a dead channel in its BatchNorm."""
    model = onnx.load_from_string(small_cnn())
    for tensor in model.graph.initializer:
        if tensor.name == "bn.running_var":
            variance = onnx.numpy_helper.to_array(tensor).copy()
            variance[3] = 1e-30
            tensor.CopyFrom(onnx.numpy_helper.from_array(variance, tensor.name))
    path = folder / f"{name}.onnx"
    onnx.save(model, path, save_as_external_data=True, location=f"{name}.weights", size_threshold=60)  # shapes stay
    return path


@pytest.mark.parametrize(
    ("command", "arguments", "changed"),
    [
        ("repair", ("--with", "correct_bias", "--layers", "/block/Conv"), "block.bias"),
        ("fix-bn", ("--method", "mean"), "bn.running_var"),
    ],
)
def test_a_network_with_its_tensors_in_another_file_becomes_a_new_pair(
    folder: Path, command: str, arguments: tuple[str, ...], changed: str
) -> None:
    """onnxruntime runs the new pair where nothing else is, and the pair that was read stays."""
    source, new = data_file(folder, command), folder / f"new_{command}"
    new.mkdir()
    before = {path: path.read_bytes() for path in (source, source.with_suffix(".weights"))}
    target = new / "fixed.onnx"
    run(command, str(source), "-o", str(target), "--data", str(folder / "data.npz"), "--float-bound", "1", *arguments)
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in new.iterdir()) == ["fixed.onnx", "fixed.onnx.data"]
    old, fixed = (
        {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(p).graph.initializer} for p in (source, target)
    )
    assert [name for name in old if not np.array_equal(old[name], fixed[name])] == [changed]
    x = RNG.standard_normal((4, 3, 8, 8)).astype(np.float32)
    first, second = (ort.InferenceSession(path).run(None, {"x": x})[0] for path in (source, target))
    assert np.isfinite(second).all() and not np.array_equal(first, second)


def test_inputs_are_drawn_in_the_shape_that_the_file_declares(folder: Path) -> None:
    weight = RNG.standard_normal((4, 6)).astype(np.float32)
    path = folder / "linear.onnx"
    path.write_bytes(
        onnx_bytes([node("Gemm", "x w", "y", "fc", transB=1)], {"x": ("float32", ["N", 6])}, {"w": weight})
    )
    assert "drawn inputs" in run("sqnr", str(path))
