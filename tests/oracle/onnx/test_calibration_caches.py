"""Ranges as calibration caches, read by onnxruntime's own tools, and TensorRT's text by hand."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

import qdiag
from qdiag.cli.app import run
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.errors import ConfigError
from qdiag.writers.calibration.caches import calibration_cache, output_bounds
from tests.measurements import range_report
from tests.networks.onnx_files import small_cnn

pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network and samples."""
    root = tmp_path_factory.mktemp("ranges")
    (root / "net.onnx").write_bytes(small_cnn(channels=4))
    np.save(root / "x.npy", np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32))
    return root


@pytest.fixture(scope="module")
def report(folder: Path) -> RangeReport:
    return qdiag.ranges(qdiag.load_model(folder / "net.onnx"), np.load(folder / "x.npy"))


def test_onnxruntime_reads_its_cache_and_the_names_are_those_of_the_file(folder: Path, report: RangeReport) -> None:
    import onnx
    from onnxruntime.quantization.calibrate import load_tensors_data

    (folder / "ranges.json").write_bytes(calibration_cache(report, "ranges.json"))
    found = load_tensors_data(folder / "ranges.json")
    graph = onnx.load(folder / "net.onnx").graph
    names = {value.name for value in graph.input} | {name for node in graph.node for name in node.output}
    assert set(found.keys()) == set(output_bounds(report)) and set(found.keys()) <= names
    assert {value.name for value in (*graph.input, *graph.output)} <= set(found.keys())
    (entry,) = [value.name for value in graph.input]
    low, high = found[entry].range_value
    samples = np.load(folder / "x.npy")
    assert (float(low), float(high)) == (float(samples.min()), float(samples.max()))


def test_the_table_of_onnxruntime_for_tensorrt_holds_largest_magnitudes(report: RangeReport) -> None:
    from onnxruntime.quantization.CalTableFlatBuffers.TrtTable import TrtTable

    table = TrtTable.GetRootAsTrtTable(calibration_cache(report, "ranges.flatbuffers"), 0)
    rows = [table.Dict(i) for i in range(table.DictLength())]
    found = {row.Key().decode(): float(row.Value()) for row in rows}
    assert found == {name: max(abs(low), abs(high)) for name, (low, high) in output_bounds(report).items()}


def test_the_text_of_tensorrt_holds_scales_in_hexadecimal_digits() -> None:
    """`conv1: 3c88edfc` in the handbook stands for a largest magnitude of 2.12, most significant byte first."""
    assert struct.unpack(">f", bytes.fromhex("3c88edfc"))[0] * 127.0 == pytest.approx(2.1226, abs=1e-3)
    head, *lines = calibration_cache(range_report(), "ranges.cache").decode().splitlines()
    assert head.startswith("TRT-") and head.endswith("-EntropyCalibration2")
    found = dict(line.split(": ") for line in lines)
    bounds = output_bounds(range_report())
    assert list(found) == list(bounds)
    for name, digits in found.items():
        assert struct.unpack(">f", bytes.fromhex(digits))[0] == pytest.approx(max(map(abs, bounds[name])) / 127.0)


def test_the_command_writes_what_the_scheme_clips_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["ranges", str(folder / "net.onnx"), "--data", str(folder / "x.npy"), "--scheme", "int8"]
    assert run([*words, "--set", "activations.range=[-1.0, 1.0]", "-o", str(folder / "clipped.json")]) == 0
    data = json.loads((folder / "clipped.json").read_text())["data"]
    assert {row["highest"] for row in data.values()} <= {1.0} or max(row["highest"] for row in data.values()) <= 1.01
    capsys.readouterr()
    assert run([*words, "-o", str(folder / "ranges.txt")]) == 2
    assert ".json, .flatbuffers, .cache" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(ConfigError):
        calibration_cache(range_report(), "ranges.txt")
