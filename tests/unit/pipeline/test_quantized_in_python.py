"""Quantized files in Python: the plan of the file in place of a scheme, its run in the runtime, and its repair."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")

import qdiag
from qdiag.core.diagnosis import Diagnosis
from tests.networks.quantized_files import constants_of
from tests.planted.test_deployed_files import agreement, clipped, network, samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("in_python")
    (made / "net.onnx").write_bytes(network())
    (made / "int8.onnx").write_bytes(clipped())
    return made


@pytest.fixture(scope="module")
def found(folder: Path) -> Diagnosis:
    paths = {name: folder / f"{name}.onnx" for name in ("net", "int8", "fixed")}
    images = torch.from_numpy(samples())
    return qdiag.diagnose(paths["net"], images, task="classify", quantized=paths["int8"], repaired=paths["fixed"])


def test_a_diagnosis_carries_the_file_and_its_run(folder: Path, found: Diagnosis) -> None:
    file, run = found.measurement.deployed, found.verification
    assert file is not None and file.source == str(folder / "int8.onnx") and file.reference == "float"
    assert run is not None and run.operations.integer_count == 2  # the bias of `block` has the scale from before
    assert run.deployed_sqnr_db == pytest.approx(run.simulated_sqnr_db, abs=0.5)
    assert found.ranking.causes[0].code == "QD506" and {edit.layer for edit in found.file_edits} >= {"tanh"}
    planted, repaired = ((folder / name).read_bytes() for name in ("int8.onnx", "fixed.onnx"))
    assert constants_of(planted).keys() != constants_of(repaired).keys()
    assert agreement(planted) < 0.9 and agreement(repaired) > 0.95


def test_a_measurement_has_the_plan_of_the_file(folder: Path, found: Diagnosis) -> None:
    images = torch.from_numpy(samples())
    measured = qdiag.measure(folder / "net.onnx", images, task="classify", quantized=folder / "int8.onnx")
    assert measured.outputs == found.measurement.outputs
    other = qdiag.measure(
        folder / "net.onnx",
        images,
        task="classify",
        quantized=qdiag.load_model(folder / "int8.onnx"),
        overrides=["layers.tanh.activations.range=[-1.0, 1.0]"],
    )
    assert other.outputs[0].sqnr_db > measured.outputs[0].sqnr_db + 6.0


def test_overrides_change_a_plain_scheme_too() -> None:
    images = torch.from_numpy(samples()[:8])
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten()).eval()
    one, other = (qdiag.measure(net, images, overrides=given) for given in ((), ("weights.bits=4",)))
    assert other.scheme.weights.bits == 4 and other.outputs[0].sqnr_db < one.outputs[0].sqnr_db


def test_what_contradicts_a_quantized_file_is_refused(folder: Path) -> None:
    images = torch.from_numpy(samples()[:4])
    with pytest.raises(qdiag.QdiagError, match="a scheme, and a file that is quantized already"):
        qdiag.measure(folder / "net.onnx", images, scheme="w4a8", quantized=folder / "int8.onnx")
    with pytest.raises(qdiag.QdiagError, match="a scheme, and a file that is quantized already"):
        qdiag.measure(folder / "int8.onnx", images, scheme="w4a8")
    with pytest.raises(qdiag.QdiagError, match="no quantized file"):
        qdiag.diagnose(folder / "net.onnx", images, repaired=folder / "other.onnx")
    assert not (folder / "other.onnx").exists()
