"""The planted detector as `quantize_static` leaves it, without a single detection: diagnosed, repaired in the file."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")
import onnx
import onnxruntime as ort

from qdiag.core.diagnosis import Diagnosis
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import begin
from qdiag.pipeline.deployed.plan import quantized_tensors
from qdiag.pipeline.deployed.repaired import RepairedFile, diagnose_file
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.pipeline.preparation.given import datasets_of, request_of, scheme_of
from qdiag.simulate.session import Session
from tests.networks.onnx_files import node
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


def with_suppression(content: bytes) -> bytes:
    """The file with non-maximum suppression behind its output, as detectors are exported: boxes first, then scores."""
    model = onnx.ModelProto.FromString(content)
    numbers = {
        "parts": np.asarray([4, 2], np.int64),
        "most": np.asarray([20], np.int64),
        "iou": np.asarray([0.5], np.float32),
        "least": np.asarray([0.2], np.float32),
    }
    model.graph.node.extend(
        [
            node("Split", "output parts", "boxes_first scores", "split", axis=1),
            node("Transpose", "boxes_first", "boxes", "turn", perm=[0, 2, 1]),
            node("NonMaxSuppression", "boxes scores most iou least", "selected", "nms", center_point_box=1),
        ]
    )
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in numbers.items())
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_tensor_value_info("selected", onnx.TensorProto.INT64, ["K", 3]))
    ended: bytes = model.SerializeToString()
    return ended


def found_boxes(content: bytes, samples: Samples) -> int:
    """How many boxes are left by the suppression of the file itself."""
    return len(ort.InferenceSession(content).run(["selected"], {"x": samples.inputs.numpy()})[0])


def diagnosed(float_file: Path, file: Path, samples: Samples, metric: Any) -> tuple[Diagnosis, RepairedFile | None]:
    session, subject = Session(), load_subject(file)
    model = load_subject(float_file, kept=frozenset(quantized_tensors(subject)))
    datasets = datasets_of(samples.batches(labelled=True), None)
    experiment = begin(session, model, datasets, scheme_of("int8"), request_of(None, None, metric), subject)
    assert experiment.deployed is not None
    assert (experiment.deployed.file.only_float, experiment.deployed.file.only_file) == ((), ())
    return diagnose_file(session, experiment, DiagnoseOptions(with_sensitivity=False, with_bits=False))


def test_the_repaired_file_detects_again(tmp_path: Path) -> None:
    data = DETECTOR.data()
    measured = Samples(data.measured.inputs[:COUNT], data.measured.targets[:COUNT])
    float_file, file = tmp_path / "net.onnx", tmp_path / "int8.onnx"
    exported(float_file)
    file.write_bytes(quantized(float_file.read_bytes(), data.calibration.inputs.numpy(), tmp_path))
    assert f1(float_file.read_bytes(), measured) > 0.9 and f1(file.read_bytes(), measured) == 0.0

    diagnosis, repaired = diagnosed(float_file, file, measured, DETECTOR.metric)
    assert [cause.code for cause in diagnosis.ranking.claimed] == ["QD401"]
    assert [(edit.tensor, edit.kind, edit.after) for edit in diagnosis.file_edits] == [("output", "output", None)]
    assert repaired is not None
    assert f1(repaired.content(), measured) > 0.9


def test_the_suppression_of_the_repaired_file_leaves_boxes_again(tmp_path: Path) -> None:
    """The file ends in it, and is measured up to what it reads, by the average precision of that."""
    data = DETECTOR.data()
    measured = Samples(data.measured.inputs[:COUNT], data.measured.targets[:COUNT])
    float_file, file = tmp_path / "net.onnx", tmp_path / "int8.onnx"
    float_file.write_bytes(with_suppression(exported(float_file)))
    file.write_bytes(quantized(float_file.read_bytes(), data.calibration.inputs.numpy(), tmp_path))
    count = found_boxes(float_file.read_bytes(), measured)
    assert count >= COUNT and found_boxes(file.read_bytes(), measured) == 0

    diagnosis, repaired = diagnosed(float_file, file, measured, None)
    assert [one.kind for one in diagnosis.measurement.capture.left_out] == ["NonMaxSuppression"]
    assert [output.name for output in diagnosis.measurement.outputs] == ["boxes", "scores"]
    assert diagnosis.ranking.criterion is not None and diagnosis.ranking.criterion.name == "mAP"
    assert [cause.code for cause in diagnosis.ranking.claimed] == ["QD401"]
    assert repaired is not None
    assert abs(found_boxes(repaired.content(), measured) - count) <= 2
