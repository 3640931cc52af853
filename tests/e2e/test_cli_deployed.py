"""A quantized file of somebody else through the commands: measured, changed with `--set`, and what is refused."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")

import onnx

from qdiag.cli.app import app
from qdiag.errors import ConfigError, WriteError
from tests.networks.quantized_files import float_cnn, quantized
from tests.wrapped_commands import on_one_line

X = np.random.default_rng(1).standard_normal((12, 3, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("deployed")
    (made / "net.onnx").write_bytes(float_cnn())
    (made / "int8.onnx").write_bytes(quantized(float_cnn(), X, made))
    np.savez(made / "data.npz", x=X)
    return made


def invoked(folder: Path, command: str, arguments: tuple[str, ...]) -> Result:
    paths = [str(folder / one) if one.endswith((".onnx", ".npz")) else one for one in arguments]
    return CliRunner().invoke(app, [command, *paths, "--data", str(folder / "data.npz")])


def digest(path: Path) -> str:
    """As `sha256sum` begins."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def run(folder: Path, command: str, *arguments: str) -> str:
    result = invoked(folder, command, arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def refused(folder: Path, command: str, *arguments: str) -> str:
    error = invoked(folder, command, arguments).exception
    assert isinstance(error, ConfigError)
    return str(error)


def test_the_file_is_measured_against_the_float_network(folder: Path) -> None:
    shown = run(folder, "sqnr", "net.onnx", "--quantized", "int8.onnx")
    stored = "scales, zero points, integer weights and biases are those of the file"
    assert f"int8.onnx (QDQ, sha256 {digest(folder / 'int8.onnx')}): {stored}" in shown
    assert f"net.onnx (onnx, sha256 {digest(folder / 'net.onnx')}, of the weights " in shown
    assert "8 layers of the float network found in it" in shown
    assert "12 measured, no labels all 12 samples measured, none to calibrate: the file holds its ranges" in shown
    changed = run(folder, "sqnr", "net.onnx", "--quantized", "int8.onnx", "--set", "layers.head.weights.bits=4")
    assert 'int8.onnx (layers."head".weights.bits=4)' in changed


def test_a_file_alone_says_what_its_reference_is(folder: Path) -> None:
    shown = run(folder, "sqnr", "int8.onnx")
    assert "the reference is its own weights, as the integers stand for them" in shown
    assert "2 ReLUs that it leaves to the lowest integer, put back: r, t" in shown
    assert "No harm" not in shown or "the weights were rounded before, and what that cost is not measured" in shown


def test_a_quantized_model_beside_its_file_says_that_its_weights_are_rounded_already(folder: Path) -> None:
    note = "that network is quantized itself: the reference has its weights as its integers stand for them"
    assert note in run(folder, "sqnr", "int8.onnx", "--quantized", "int8.onnx")
    assert note not in run(folder, "sqnr", "net.onnx", "--quantized", "int8.onnx")


def test_the_check_shows_how_the_file_was_matched(folder: Path) -> None:
    """All samples, and the arithmetic of this processor: no integer differs."""
    shown = run(folder, "verify", "net.onnx", "--quantized", "int8.onnx")
    assert "8 layers of the float network found in it" in shown
    assert "none to calibrate" in shown and "outputs equal on all 12 samples" in shown
    model = onnx.load(folder / "int8.onnx")
    onnx.save(model, folder / "divided.onnx", save_as_external_data=True, location="values.bin", size_threshold=0)
    shown = run(folder, "verify", "net.onnx", "--quantized", "divided.onnx", "--max-differing", "100")
    assert "outputs equal on all 12 samples" in shown
    told = refused(folder, "verify", "net.onnx", "--quantized", "int8.onnx", "--runtime", "xnnpack")
    assert "xnnpack does not run" in told and "a file of another format" in told


def test_what_contradicts_a_quantized_file_is_refused(folder: Path) -> None:
    arguments = ("net.onnx", "--quantized", "int8.onnx", "--scheme", "tensorrt-int8")
    assert "a scheme, and a file that is quantized already" in refused(folder, "sqnr", *arguments)
    usual = ("net.onnx", "--quantized", "int8.onnx", "--scheme", "int8")
    assert "a scheme, and a file that is quantized already" in refused(folder, "sqnr", *usual)  # the default
    assert "a scheme, and a file that is quantized already" in refused(folder, "rank", "int8.onnx", "--scheme", "int8")
    assert "net.onnx is not quantized" in refused(folder, "sqnr", "net.onnx", "--quantized", "net.onnx")
    told = refused(folder, "diagnose", "net.onnx", "--repaired", "fixed.onnx")
    assert "no quantized file" in told and not (folder / "fixed.onnx").exists()


def test_a_file_that_cannot_be_written_is_told_before_the_diagnosis(folder: Path) -> None:
    arguments = ("net.onnx", "--quantized", "int8.onnx", "--repaired", "none/fixed.onnx")
    error = invoked(folder, "diagnose", arguments).exception
    assert isinstance(error, WriteError)
    assert "the folder does not exist" in str(error)


def test_a_file_that_is_there_is_replaced_by_force_alone(folder: Path) -> None:
    """As `qdiag export` does, and before anything is run."""
    (folder / "there.onnx").write_bytes(b"precious")
    error = invoked(folder, "diagnose", ("net.onnx", "--quantized", "int8.onnx", "--repaired", "there.onnx")).exception
    assert isinstance(error, WriteError) and "there is such a file already" in str(error)
    assert (folder / "there.onnx").read_bytes() == b"precious"


def test_a_diagnosis_is_told_where_no_repair_helps(folder: Path) -> None:
    arguments = ("net.onnx", "--quantized", "int8.onnx", "--repaired", "fixed.onnx", "--no-sensitivity", "--no-bits")
    shown = run(folder, "diagnose", *arguments)
    assert "No repaired file is written: no harm was measured." in shown
    assert "Nothing to repair" in shown or "No harm" in shown
    assert not (folder / "fixed.onnx").exists()


def test_the_first_look_at_a_quantized_file_leads_to_commands_that_can_be_run(folder: Path) -> None:
    file = str(folder / "int8.onnx")
    shown = on_one_line(CliRunner().invoke(app, ["check", file]).output)
    assert f"qdiag diagnose FLOAT.onnx --data photos/ --quantized {file} -o reports/run1" in shown
    assert f"qdiag diagnose {file} --data photos/ -o reports/run1" in shown and "--scheme" not in shown
    error = CliRunner().invoke(app, ["check", file, "--scheme", "int8"]).exception
    assert isinstance(error, ConfigError) and "a scheme, and a file" in str(error)
    shown = on_one_line(invoked(folder, "sqnr", ("int8.onnx",)).output)
    assert "--scheme" not in shown


def test_changes_of_a_quantized_file_are_taken_by_every_command(folder: Path) -> None:
    change = ("--set", "layers.head.weights.bits=4")
    assert "weights.bits=4" in run(folder, "sensitivity", "int8.onnx", *change, "--estimate-only")
    shown = run(folder, "export", "int8.onnx", *change, "-o", str(folder / "out.onnx"))
    assert "weights.bits=4" in shown and (folder / "out.onnx").exists()
    assert "weights.bits=4" in run(folder, "gate", "int8.onnx", *change, "--min-sqnr", "1")


def test_a_gate_measures_the_file_beside_its_float_network(folder: Path) -> None:
    files = ("net.onnx", "--quantized", "int8.onnx")
    shown = run(folder, "gate", *files, "--min-sqnr", "1", "--forbid", "QD701", "--quiet")
    assert "int8.onnx (QDQ, sha256" in shown or "net.onnx" in shown
    result = invoked(folder, "gate", (*files, "--min-sqnr", "90"))
    assert result.exit_code == 1
