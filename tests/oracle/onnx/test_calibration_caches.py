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


def normalized(path: Path) -> Path:
    """Conv, BatchNorm, ReLU, MaxPool, Conv, Clip, average pool, Flatten, Gemm."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    values = {
        "w": rng.standard_normal((4, 3, 3, 3)), "g": rng.uniform(0.5, 2.0, 4), "b": rng.standard_normal(4),
        "m": rng.standard_normal(4), "v": rng.uniform(0.5, 2.0, 4), "w2": rng.standard_normal((4, 4, 3, 3)),
        "low": np.array(0.0), "high": np.array(6.0), "w3": rng.standard_normal((4, 5)),
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4),
        helper.make_node("BatchNormalization", ["c", "g", "b", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2]),
        helper.make_node("Conv", ["p", "w2"], ["c2"]),
        helper.make_node("Clip", ["c2", "low", "high"], ["k"]),
        helper.make_node("GlobalAveragePool", ["k"], ["a"]),
        helper.make_node("Flatten", ["a"], ["f"]),
        helper.make_node("Gemm", ["f", "w3"], ["y"]),
    ]
    inside = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y")]
    ends[0] = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["samples", 3, 8, 8])
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], inside)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize("options", [(), ("--scheme", "int8")])
def test_onnxruntime_quantizes_a_file_by_these_ranges_alone(folder: Path, options: tuple[str, ...]) -> None:
    """The cache holds what its own calibration would, so that no sample has to be shown to it again."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = [{"x": np.load(folder / "x.npy")}]

        def get_next(self) -> object:
            return self.left.pop() if self.left else None

    net = normalized(folder / "normalized.onnx")
    words = ["ranges", str(net), "--data", str(folder / "x.npy"), "--no-fold", *options]
    ours, theirs = folder / f"ours{len(options)}.json", folder / f"theirs{len(options)}.json"
    assert run([*words, "-o", str(ours)]) == 0
    quantize_static(net, folder / "own.onnx", Reader(), calibration_cache_path=theirs)
    known, expected = (set(json.loads(path.read_text())["data"]) for path in (ours, theirs))
    assert known == expected
    samples = np.load(folder / "x.npy")

    def answer(path: Path) -> np.ndarray:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        found: np.ndarray = session.run(None, {"x": samples})[0]
        return found

    quantize_static(net, folder / "cached.onnx", None, calibration_cache_path=ours, activation_type=QuantType.QUInt8)
    exact, own, cached = (answer(path) for path in (net, folder / "own.onnx", folder / "cached.onnx"))
    assert np.abs(cached - exact).mean() < 2.0 * np.abs(own - exact).mean() + 1e-6 < 0.2 * np.abs(exact).mean()


def test_what_a_folded_batchnorm_reads_is_said_to_be_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tensor before it has the name of the convolution, and other values than the layer that both become."""
    net = normalized(folder / "normalized.onnx")
    assert run(["ranges", str(net), "--data", str(folder / "x.npy"), "-o", str(folder / "folded.json")]) == 0
    assert "Of 1 tensor inside of layers no range is known: c." in " ".join(capsys.readouterr().err.split())
    assert "c" not in json.loads((folder / "folded.json").read_text())["data"]


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
