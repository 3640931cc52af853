"""Faults of quantized files, planted into what `quantize_static` makes of one small network, and the whole file."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import pytest
import torch

pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantFormat

import qdiag
from qdiag.core.causes.codes import CODES as ALL_CODES
from qdiag.core.diagnosis import Diagnosis
from qdiag.errors import WriteError
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import begin
from qdiag.pipeline.deployed.plan import quantized_tensors
from qdiag.pipeline.deployed.repaired import RepairedFile, diagnose_file
from qdiag.pipeline.diagnose import DiagnoseOptions
from qdiag.pipeline.preparation.given import datasets_of, request_of, scheme_of
from qdiag.pipeline.verify.integers import QUANTIZED_BY_RUNTIME
from qdiag.reading.proposals import repaired_score
from qdiag.reading.words.causes import commands
from qdiag.reading.words.task.afterwards import repair_heading
from qdiag.simulate.session import Session
from qdiag.writers.html.report import html_report
from qdiag.writers.markdown.report import markdown_report
from tests.networks.onnx_files import Array, node, onnx_bytes
from tests.networks.quantized_files import constants_of, float_cnn, quantized, values_at, with_constants

COUNT = 80
OFFSET = 2.5
CODES = {"QD104", "QD502", "QD506", "QD701", "QD702", "QD703", "QD704", "QD705", "QD706", "QD903"}


@cache
def network() -> bytes:
    """Answers of three classes; all outputs of `block` are positive, which the last bias takes back."""
    rng = np.random.default_rng(3)

    def normal(*shape: int, scale: float = 1.0) -> Array:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    by_input = np.geomspace(0.2, 1.0, 8).astype(np.float32)
    head = normal(3, 8 * 36, scale=0.1)
    constants = {
        "stem.weight": normal(8, 3, 3, 3, scale=0.3) / by_input.reshape(8, 1, 1, 1),
        "stem.bias": normal(8, scale=0.1),
        "block.weight": normal(8, 8, 3, 3, scale=0.1) * by_input.reshape(1, 8, 1, 1),
        "block.bias": np.full(8, OFFSET, np.float32),
        "head.weight": head,
        "head.bias": (-OFFSET * head.sum(1)).astype(np.float32),
    }
    nodes = [
        node("Conv", "x stem.weight stem.bias", "c", "stem", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("Tanh", "c", "t", "tanh"),
        node("Conv", "t block.weight block.bias", "d", "block", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
        node("Flatten", "d", "f", "flatten"),
        node("Gemm", "f head.weight head.bias", "y", "head", transB=1),
    ]
    return onnx_bytes(nodes, {"x": ("float32", ["N", 3, 6, 6])}, constants)


@cache
def samples() -> Array:
    """Those of twice as many whose answers are surest: rounding alone changes none of them."""
    x = np.random.default_rng(7).standard_normal((2 * COUNT, 3, 6, 6)).astype(np.float32)
    best = np.sort(values_at(network(), x, ["y"])["y"], 1)
    return x[np.argsort(best[:, -2] - best[:, -1])[:COUNT]]


@cache
def healthy(
    *, excluded: tuple[str, ...] = (), shift: float = 0.0, factor: float = 1.0, form: QuantFormat = QuantFormat.QDQ
) -> bytes:
    with TemporaryDirectory() as folder:
        x = (factor * samples() + shift).astype(np.float32)
        return quantized(network(), x, Path(folder), nodes_to_exclude=list(excluded), quant_format=form)


def scales_of_the_other_axis() -> bytes:
    """A square weight whose scales were found along its inputs, and are used along its outputs, with its bias."""
    weight, old = constants_of(network())["block.weight"], constants_of(healthy())
    scale = np.abs(weight).max((0, 2, 3)) / 127
    integers = np.clip(np.round(weight / scale.reshape(8, 1, 1, 1)), -127, 127).astype(np.int8)
    changed = {"block.weight_quantized": integers, "block.weight_scale": scale}
    return with_constants(healthy(), {**changed, "block.bias_quantized_scale": old["t_scale"] * scale})


def axis_of_the_inputs() -> bytes:
    """Right numbers along an axis at which no sum has a scale in common."""
    weight = constants_of(network())["block.weight"]
    scale = np.abs(weight).max((0, 2, 3)) / 127
    integers = np.round(weight / scale.reshape(1, 8, 1, 1)).astype(np.int8)
    content = with_constants(healthy(), {"block.weight_quantized": integers, "block.weight_scale": scale})
    model = onnx.ModelProto.FromString(content)
    for one in model.graph.node:
        if one.input[0] == "block.weight_quantized":
            next(attribute for attribute in one.attribute if attribute.name == "axis").i = 1
    done: bytes = model.SerializeToString()
    return done


def quantized_again() -> bytes:
    """What `tanh` gives is rounded a second time, to three levels."""
    model = onnx.ModelProto.FromString(healthy())
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(1.9, np.float32), "coarse"))
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(128, np.uint8), "middle"))
    place = next(i for i, one in enumerate(model.graph.node) if one.name == "block")
    source = model.graph.node[place].input[0]
    model.graph.node[place].input[0] = "t_twice"
    model.graph.node.insert(place, node("QuantizeLinear", f"{source} coarse middle", "t_q2", "again"))
    model.graph.node.insert(place + 1, node("DequantizeLinear", "t_q2 coarse middle", "t_twice", "back"))
    done: bytes = model.SerializeToString()
    return done


def without_zero() -> bytes:
    """`scale = (maximum - minimum) / 255`, and a zero point that is cut off at 0."""
    model = onnx.ModelProto.FromString(healthy())
    names = [f"d_{end}" for end in ("scale", "zero_point")]
    old = constants_of(healthy())
    assert int(old[names[1]]) == 0  # it holds zero as it is
    values = values_at(network(), samples(), ["d"])["d"]
    assert values.min() > 0.0
    scale = np.asarray((values.max() - values.min()) / 255, np.float32)
    return with_constants(model.SerializeToString(), {names[0]: scale})


def clipped() -> bytes:
    """The range of `tanh` from before the weights grew."""
    return with_constants(healthy(), {"t_scale": np.asarray(constants_of(healthy())["t_scale"] * 0.02, np.float32)})


def without_levels() -> bytes:
    """A scale of 1, as for a tensor that was zero on the calibration data."""
    changed = {"t_scale": np.asarray(4.0, np.float32), "t_zero_point": np.asarray(0, np.uint8)}
    return with_constants(healthy(), changed)


def averaged(share: float) -> bytes:
    """The answers in a range that is an average over batches, which leaves out the ends of the values."""
    return with_constants(healthy(), {"y_scale": np.asarray(share * constants_of(healthy())["y_scale"], np.float32)})


FAULTS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "scales of the other axis": ("QD701", scales_of_the_other_axis, "block"),
    "quantized again": ("QD703", quantized_again, "tanh"),
    "a range without zero": ("QD704", without_zero, "block"),
    "other inputs": ("QD705", lambda: healthy(shift=0.2, factor=0.05), "input:x"),
    "a stale range": ("QD506", clipped, "tanh"),
    "a scale without information": ("QD903", without_levels, "tanh"),
}


def two_at_once() -> bytes:
    """An input without levels, and weights that are all rounded to zero: either one alone leaves nothing."""
    old = constants_of(healthy())
    coarse = {"block.weight_scale": np.asarray(300.0 * old["block.weight_scale"], np.float32)}
    zeros = {"block.weight_quantized": np.zeros_like(old["block.weight_quantized"])}
    x = {"x_scale": np.asarray(200.0 * old["x_scale"], np.float32)}
    return with_constants(healthy(), {**coarse, **zeros, **x})


def diagnosis(content: bytes, folder: Path) -> Diagnosis:
    return diagnosed(content, folder)[0]


def diagnosed(content: bytes, folder: Path) -> tuple[Diagnosis, RepairedFile | None]:
    (folder / "net.onnx").write_bytes(network())
    (folder / "int8.onnx").write_bytes(content)
    subject = load_subject(folder / "int8.onnx")
    model = load_subject(folder / "net.onnx", kept=frozenset(quantized_tensors(subject)))
    session, data = Session(), datasets_of(torch.from_numpy(samples()), None)
    experiment = begin(session, model, data, scheme_of("int8"), request_of("classify", None, None), subject)
    return diagnose_file(session, experiment, DiagnoseOptions(with_sensitivity=False, with_bits=False))


def found(result: Diagnosis) -> dict[str, tuple[str, ...]]:
    return {one.code: tuple(site.layer for site in one.sites) for one in result.ranking.findings if one.code in CODES}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_file_is_the_cause(tmp_path: Path, name: str) -> None:
    """Claimed, at its layer: its repair gives the answers back."""
    code, make, layer = FAULTS[name]
    result = diagnosis(make(), tmp_path)
    assert result.ranking.harm.verdict == "harmed"
    assert result.ranking.causes[0].code == code and result.ranking.causes[0].verdict == "cause"
    assert result.ranking.causes[0].layers[0] == layer
    assert result.file_edits


def test_two_faults_that_each_ruin_the_network_are_both_causes(tmp_path: Path) -> None:
    """No repair recovers anything alone, and the two together all of it."""
    result = diagnosis(two_at_once(), tmp_path)
    causes = {cause.code: cause.verdict for cause in result.ranking.causes}
    assert causes["QD705"] == causes["QD506"] == "cause"
    first, second = result.ranking.waterfall
    assert not first.gained.is_gain and second.gained.is_gain
    after, before = result.ranking.repaired, result.ranking.before.task.judged
    assert after is not None and after.task.judged is not None and before is not None
    assert after.task.judged.simulated > before.simulated + 30.0
    assert {edit.tensor for edit in result.file_edits} >= {"x", "block.weight"}


def test_the_repaired_file_is_proposed_and_then_its_check(tmp_path: Path) -> None:
    """No command is proposed again that was just run, and none is said to repair that measures."""
    result = diagnosis(clipped(), tmp_path)
    repair, check = commands(result, "net.onnx", ["--quantized", "int8.onnx", "--set", "bias=float"])
    assert repair.endswith("--repaired " + check.rpartition(" ")[2]) and repair.startswith("qdiag diagnose net.onnx ")
    assert check.startswith("qdiag verify net.onnx --quantized ") and "--set" not in check
    assert repair_heading(repaired_score(result), (repair, check)) == "To repair it:"
    written = replace(result, repaired_file="fixed.onnx")
    checks = commands(written, "net.onnx", ["--quantized", "int8.onnx"])
    assert checks == ("qdiag verify net.onnx --quantized fixed.onnx",)
    assert repair_heading(repaired_score(written), checks) == "To check the repaired file in its runtime:"


def test_the_repaired_file_is_written_and_run(tmp_path: Path) -> None:
    """What the diagnosis says of it is what the file gives: in its runtime, and read again."""
    (tmp_path / "net.onnx").write_bytes(network())
    (tmp_path / "int8.onnx").write_bytes(clipped())
    paths = {"quantized": tmp_path / "int8.onnx", "repaired": tmp_path / "fixed.onnx"}
    brief = {"with_sensitivity": False, "with_bits": False}
    x = torch.from_numpy(samples())
    result = qdiag.diagnose(tmp_path / "net.onnx", x, task="classify", **paths, **brief)
    run = result.repaired_run
    assert result.repaired_file == str(tmp_path / "fixed.onnx") and run is not None
    assert run.deployed_task.judged is not None and result.verification is not None
    assert agreement((tmp_path / "fixed.onnx").read_bytes()) == pytest.approx(run.deployed_task.judged.simulated / 100)
    again = qdiag.measure(tmp_path / "net.onnx", x, task="classify", quantized=tmp_path / "fixed.onnx")
    assert again.task.judged is not None and run.simulated_task.judged is not None
    assert again.task.judged.simulated == run.simulated_task.judged.simulated
    for surface in (markdown_report(result), html_report(result)):
        assert "fixed.onnx" in surface and "To measure the repaired file" in surface
    with pytest.raises(WriteError, match="such a file already"):
        qdiag.diagnose(tmp_path / "net.onnx", x, task="classify", **paths, **brief)


@pytest.mark.parametrize(("share", "code"), [(0.4, "QD506"), (0.7, "QD502")])
def test_few_answers_that_a_range_clips_are_told(tmp_path: Path, share: float, code: str) -> None:
    """180 values: far beyond the range, or clipped by little and often."""
    result = diagnosis(averaged(share), tmp_path)
    assert found(result)[code] == ("head",)
    cause = next(cause for cause in result.ranking.causes if cause.code == code)
    cover = next(trial for trial in cause.trials if trial.repair == "cover_range")
    assert cover.recovery is not None and cover.recovery.recovered_db > 3.0


def test_ranges_of_the_percentile_calibrator_are_the_cause(tmp_path: Path) -> None:
    """Of onnxruntime, which drops the largest two fifths of the values here: wider ranges give the answers back."""
    cut = {"calibrate_method": CalibrationMethod.Percentile, "extra_options": {"CalibPercentile": 60.0}}
    result = diagnosis(quantized(network(), samples(), tmp_path, **cut), tmp_path)
    assert result.ranking.harm.verdict == "harmed"
    assert {"input:x", "stem", "head"} <= set(found(result)["QD506"])
    first = result.ranking.causes[0]
    assert first.verdict == "cause" and "cover_range" in {trial.repair for trial in first.trials}
    after, before = result.ranking.repaired, result.ranking.before.task.judged
    assert after is not None and after.task.judged is not None and before is not None
    assert after.task.judged.simulated > before.simulated + 10.0


def test_every_code_of_files_is_planted() -> None:
    told = {"QD702", "QD706"}  # these cost nothing: see below
    planted = {code for code, _, _ in FAULTS.values()} | told
    assert planted >= {code.code for code in ALL_CODES if code.family == "deployment"}


def test_the_healthy_file_has_none_of_them(tmp_path: Path) -> None:
    result = diagnosis(healthy(), tmp_path)
    assert found(result) == {} and result.ranking.harm.verdict == "healthy"
    run = result.verification
    assert run is not None and not run.uncompared
    assert run.operations.integer_count == 3
    assert run.adds_pairs or (run.differing_percent < 1.0 and run.sqnr_gap_db < 0.5)
    assert [layer.layer for layer in run.layers] == ["input:x", "stem", "tanh", "block", "head"]


def test_a_layer_in_float_and_a_weight_without_a_common_scale_cost_nothing(tmp_path: Path) -> None:
    """They are told all the same: they are slow where the file runs."""
    excluded = diagnosis(healthy(excluded=("block",)), tmp_path)
    assert found(excluded) == {"QD702": ("block",)} and not excluded.ranking.claimed
    other = diagnosis(axis_of_the_inputs(), tmp_path)
    assert found(other) == {"QD701": ("block",), "QD706": ("block",)} and not other.ranking.claimed


def test_what_the_runtime_quantizes_itself_is_told(tmp_path: Path) -> None:
    """onnxruntime does so with the float weight of a convolution between integers that an exclude list names."""
    x = np.random.default_rng(0).standard_normal((24, 3, 8, 8)).astype(np.float32)
    (tmp_path / "net.onnx").write_bytes(float_cnn())
    reasons = []
    for excluded in (["block"], ["head"], []):
        file = tmp_path / f"without{len(reasons)}.onnx"
        file.write_bytes(quantized(float_cnn(), x, tmp_path, nodes_to_exclude=excluded))
        brief = {"with_sensitivity": False, "with_bits": False}
        run = qdiag.diagnose(tmp_path / "net.onnx", torch.from_numpy(x), quantized=file, **brief).verification
        assert run is not None
        reasons.append({layer.layer: layer.reason for layer in run.layers})
    assert reasons[0]["block"] == QUANTIZED_BY_RUNTIME
    # nothing behind the last layer is quantized, so it stays in float
    assert QUANTIZED_BY_RUNTIME not in {*reasons[1].values(), *reasons[2].values()}


def agreement(content: bytes) -> float:
    """Share of samples on which the file answers as the float network does, in onnxruntime."""
    answers = [values_at(one, samples(), ["y"])["y"].argmax(1) for one in (content, network())]
    return float((answers[0] == answers[1]).mean())


def test_a_file_of_operators_on_integers_is_repaired_in_its_own_format(tmp_path: Path) -> None:
    """The scale stands in the operator that gives the integers, and in the one that takes them."""
    content = healthy(form=QuantFormat.QOperator)
    planted = with_constants(content, {"d_scale": np.asarray(constants_of(content)["d_scale"] * 0.4, np.float32)})
    result, file = diagnosed(planted, tmp_path)
    assert result.ranking.causes[0].code == "QD506" and result.ranking.causes[0].verdict == "cause"
    assert result.ranking.causes[0].layers[0] == "block"
    assert file is not None and {edit.layer for edit in result.file_edits} == {"block", "head"}
    repaired = file.content()
    kinds = [[one.op_type for one in onnx.ModelProto.FromString(c).graph.node] for c in (planted, repaired)]
    assert kinds[0] == kinds[1] and "QGemm" in kinds[0]
    assert agreement(planted) < 0.6 and agreement(repaired) > 0.95
    twin, unchanged = diagnosed(content, tmp_path)
    assert found(twin) == {} and not twin.file_edits
    assert unchanged is not None and not unchanged.edits and agreement(content) > 0.95
