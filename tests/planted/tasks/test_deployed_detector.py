"""The planted detector as `quantize_static` leaves it, without a single detection: diagnosed, repaired in the file."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")
import onnxruntime as ort

from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import begin
from qdiag.pipeline.deployed.plan import quantized_tensors
from qdiag.pipeline.deployed.repaired import diagnose_file
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.pipeline.preparation.given import datasets_of, request_of, scheme_of
from qdiag.simulate.session import Session
from tests.networks.quantized_files import quantized
from tests.planted.tasks.registry import TASK_NETWORKS
from tests.planted.tasks.task_network import Samples

DETECTOR = TASK_NETWORKS["detector"]
COUNT = 12


def exported(path: Path) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter without dynamo is the one that needs no further package
        torch.onnx.export(
            DETECTOR.build(),
            (DETECTOR.data().measured.inputs[:2],),
            str(path),
            dynamo=False,
            input_names=["x"],
            output_names=["output"],
            dynamic_axes={"x": {0: "N"}, "output": {0: "N"}},
            opset_version=17,
        )
    return path.read_bytes()


def f1(content: bytes, samples: Samples) -> float:
    found = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": samples.inputs.numpy()})
    return float(np.mean(DETECTOR.metric(torch.from_numpy(found[0]), samples.targets)))


def test_the_repaired_file_detects_again(tmp_path: Path) -> None:
    data = DETECTOR.data()
    measured = Samples(data.measured.inputs[:COUNT], data.measured.targets[:COUNT])
    float_file, file = tmp_path / "net.onnx", tmp_path / "int8.onnx"
    exported(float_file)
    file.write_bytes(quantized(float_file.read_bytes(), data.calibration.inputs.numpy(), tmp_path))
    assert f1(float_file.read_bytes(), measured) > 0.9 and f1(file.read_bytes(), measured) == 0.0

    session, subject = Session(), load_subject(file)
    model = load_subject(float_file, kept=frozenset(quantized_tensors(subject)))
    datasets = datasets_of(measured.batches(labelled=True), None)
    request = request_of(None, None, DETECTOR.metric)
    experiment = begin(session, model, datasets, scheme_of("int8"), request, subject)
    assert experiment.deployed is not None
    assert (experiment.deployed.file.only_float, experiment.deployed.file.only_file) == ((), ())
    diagnosis, repaired = diagnose_file(session, experiment, DiagnoseOptions(with_sensitivity=False, with_bits=False))
    assert [cause.code for cause in diagnosis.ranking.claimed] == ["QD401"]
    assert [(edit.tensor, edit.kind, edit.after) for edit in diagnosis.file_edits] == [("output", "output", None)]
    assert repaired is not None
    assert f1(repaired.content(), measured) > 0.9
