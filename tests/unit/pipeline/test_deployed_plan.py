"""A file of `onnxruntime.quantization` read as a plan: its integers, found again in the float network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")
from onnxruntime.quantization import QuantFormat, QuantType

from qdiag.core.scheme import LayerOverride, TensorChange
from qdiag.errors import ConfigError, LoadError
from qdiag.loaders.models.formats import load_subject
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.in_turn import InTurn
from qdiag.numerics.quantizers.stored_weight import StoredWeight
from qdiag.onnx.load import load_network
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.deployed.plan import quantized_tensors
from qdiag.pipeline.preparation.given import datasets_of, scheme_of
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.simulate.changes import with_scheme
from qdiag.simulate.passes.weights import simulated_weights
from qdiag.simulate.session import Session
from tests.networks.onnx_files import Array, node, onnx_bytes
from tests.networks.quantized_files import constants_of, float_cnn, quantized, renamed, values_at, with_constants

X = np.random.default_rng(1).standard_normal((16, 3, 8, 8)).astype(np.float32)
LAYERS = ("input:x", "stem", "block", "sum", "swish", "pool", "head")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("deployed")
    (made / "net.onnx").write_bytes(float_cnn())
    (made / "int8.onnx").write_bytes(quantized(float_cnn(), X, made))
    return made


def opened(folder: Path, file: str | None, model: str = "net.onnx") -> Experiment:
    other = None if file is None else load_subject(folder / file)
    kept = frozenset(quantized_tensors(other)) if other is not None else frozenset()
    subject = load_subject(folder / model, kept=kept)
    data = datasets_of(torch.from_numpy(X), None)
    return begin(Session(), subject, data, scheme_of("int8"), quantized=other)


@pytest.fixture(scope="module")
def experiment(folder: Path) -> Experiment:
    return opened(folder, "int8.onnx")


def test_every_quantizer_of_the_file_is_that_of_a_layer(folder: Path, experiment: Experiment) -> None:
    stored = constants_of((folder / "int8.onnx").read_bytes())
    tensors = dict(zip(LAYERS, ["x", "r", "d", "t", "m", "a", "y"], strict=True)) | {"gate": "g"}
    plan = experiment.case.plan.layers
    assert set(plan) == set(tensors)
    for layer, tensor in tensors.items():
        output = plan[layer].output
        assert isinstance(output, Affine) and (output.quant_min, output.quant_max) == (0, 255)
        assert float(output.scale) == stored[f"{tensor}_scale"]
        assert int(output.zero_point) == stored[f"{tensor}_zero_point"]
    assert experiment.deployed is not None
    assert (
        experiment.deployed.file.only_float,
        experiment.deployed.file.only_file,
        experiment.deployed.file.unplaced,
    ) == ((), (), ())


def test_weights_and_biases_are_the_integers_of_the_file(folder: Path, experiment: Experiment) -> None:
    """Against numpy, in the file's own arrays."""
    stored = constants_of((folder / "int8.onnx").read_bytes())
    for name, source in (("stem", "x"), ("block", "r"), ("head", "a")):
        layer = experiment.case.network.graph.layer(name)
        got = simulated_weights(experiment.case.network, experiment.case.plan, layer)
        scale = stored[f"{name}.weight_scale"]
        wanted = stored[f"{name}.weight_quantized"] * scale.reshape(-1, *[1] * (got.weight.ndim - 1))  # type: ignore[union-attr]
        assert got.weight is not None and np.array_equal(got.weight.numpy(), wanted.astype(np.float32))
        unit = stored[f"{source}_scale"].astype(np.float64) * scale.astype(np.float64)
        bias = (stored[f"{name}.bias_quantized"] * unit).astype(np.float32)
        assert got.bias is not None and np.array_equal(got.bias.numpy(), bias)


def test_weights_that_were_rounded_otherwise_stay_so(folder: Path) -> None:
    """As AdaRound and GPTQ round: not to the nearest."""
    file = (folder / "int8.onnx").read_bytes()
    weight, bias = (constants_of(file)[f"block.{name}_quantized"].copy() for name in ("weight", "bias"))
    weight[0, 0], bias[0] = np.where(weight[0, 0] > 0, weight[0, 0] - 2, weight[0, 0] + 2), bias[0] + 40
    (folder / "other.onnx").write_bytes(
        with_constants(file, {"block.weight_quantized": weight, "block.bias_quantized": bias})
    )
    case = opened(folder, "other.onnx").case
    layer = case.network.graph.layer("block")
    got = simulated_weights(case.network, case.plan, layer)
    quantizer = case.plan.layers["block"].weight
    assert quantizer is not None and got.weight is not None
    assert torch.equal(quantizer.quantize(got.weight), torch.from_numpy(weight).int())  # type: ignore[attr-defined]
    assert torch.equal(case.plan.layers["block"].stored_bias.integers, torch.from_numpy(bias).long())  # type: ignore[union-attr]
    nearest = torch.round(case.network.program.constants[layer.weight or ""] / quantizer.scale.reshape(-1, 1, 1, 1))  # type: ignore[attr-defined]
    assert (nearest[0, 0] - torch.from_numpy(weight)[0, 0]).abs().min() >= 2


def test_what_a_repair_changes_is_no_longer_that_of_the_file(experiment: Experiment) -> None:
    """More bits at one layer: its weights are rounded anew, its bias too, and everything else stays."""
    case = experiment.case
    wider = LayerOverride("block", weights=TensorChange(bits=16))
    after = with_scheme(Session(), case, replace(case.scheme, layers=(*case.scheme.layers, wider)))
    assert after.plan.layers["stem"] == case.plan.layers["stem"]
    block = after.plan.layers["block"]
    assert block.weight is not case.plan.layers["block"].weight and block.stored_bias is None
    assert block.output is case.plan.layers["block"].output
    weight = simulated_weights(after.network, after.plan, after.network.graph.layer("block")).weight
    assert weight is not None
    off = weight - case.network.program.constants[case.network.graph.layer("block").weight or ""]
    assert 0 < off.abs().max() < 1e-5


def test_an_input_that_floats_alone_read_is_no_longer_quantized(experiment: Experiment) -> None:
    """What the file has there stays as long as a layer of integers reads it."""
    case = experiment.case
    (entry,) = (layer for layer in case.network.graph.layers if layer.kind == "input")
    (reader,) = case.network.graph.consumers(entry.name)
    after = with_scheme(Session(), case, replace(case.scheme, float_layers=(reader.name,)))
    assert case.plan.layers[entry.name].output is not None
    assert after.plan.layers[entry.name].output is None
    kept = with_scheme(Session(), case, replace(case.scheme, float_layers=("head",)))
    assert kept.plan.layers[entry.name].output is case.plan.layers[entry.name].output


def test_the_simulation_gives_what_onnxruntime_gives(folder: Path, experiment: Experiment) -> None:
    """Integer kernels round ties otherwise, seldom; the file is run unoptimized, so in the arithmetic of the file."""
    measured = measure_experiment(Session(), experiment)
    y = values_at((folder / "int8.onnx").read_bytes(), X, ["y"])["y"].astype(np.float64)
    reference = values_at((folder / "net.onnx").read_bytes(), X, ["y"])["y"].astype(np.float64)
    sqnr_db = 10 * np.log10((reference**2).sum() / ((reference - y) ** 2).sum())
    assert measured.outputs[0].sqnr_db == pytest.approx(sqnr_db, abs=0.3)
    assert 25.0 < sqnr_db < 60.0


@pytest.mark.parametrize("kind", [QuantType.QUInt8, QuantType.QInt8])
def test_a_relu_that_was_left_to_saturation_is_put_back(tmp_path: Path, kind: QuantType) -> None:
    (tmp_path / "int8.onnx").write_bytes(quantized(float_cnn(), X, tmp_path, activation_type=kind, per_channel=False))
    alone = opened(tmp_path, None, "int8.onnx")
    assert alone.deployed is not None
    assert (alone.deployed.file.reference, alone.deployed.file.clamped) == ("dequantized", ("r", "t"))
    assert [one.name for one in alone.case.network.graph.layers if one.clamp] == ["stem", "sum"]
    network = alone.subject.model
    y = network(torch.from_numpy(X)).numpy()  # type: ignore[operator]
    reference = values_at(float_cnn(), X, ["y"])["y"]
    assert 10 * np.log10((reference**2).sum() / ((reference - y) ** 2).sum()) > 25.0  # below 0 dB without the ReLUs
    measured = measure_experiment(Session(), alone)
    assert [record.weight.error.sqnr_db for record in measured.records if record.weight is not None] == [np.inf] * 3


def test_layers_are_found_without_their_names(folder: Path, experiment: Experiment) -> None:
    """By weights, by what they read, and by what reads them."""
    (folder / "renamed.onnx").write_bytes(renamed((folder / "int8.onnx").read_bytes()))
    other = opened(folder, "renamed.onnx")
    for name in LAYERS:
        one, two = other.case.plan.layers[name], experiment.case.plan.layers[name]
        assert isinstance(one.output, Affine) and isinstance(two.output, Affine) and one.output.key == two.output.key
        assert (one.weight is None) == (two.weight is None) and (one.stored_bias is None) == (two.stored_bias is None)
    assert other.deployed is not None and other.deployed.file.only_float == ()
    assert len(other.deployed.file.only_file) == 1  # the sigmoid inside of what is one SiLU in the float network


def test_operators_on_integers_say_the_same_as_q_and_dq(tmp_path: Path, experiment: Experiment) -> None:
    """One calibration, two formats: the plan is the same wherever both formats quantize."""
    (tmp_path / "net.onnx").write_bytes(float_cnn())
    file = quantized(float_cnn(), X, tmp_path, quant_format=QuantFormat.QOperator)
    (tmp_path / "int8.onnx").write_bytes(file)
    stored, other = constants_of(file), opened(tmp_path, "int8.onnx")
    assert other.deployed is not None and other.deployed.file.encoding == "QOperator"
    assert (other.deployed.file.only_float, other.deployed.file.only_file, other.deployed.file.unplaced) == ((), (), ())
    for name in LAYERS:
        one, two = other.case.plan.layers[name], experiment.case.plan.layers[name]
        assert isinstance(one.output, Affine) and isinstance(two.output, Affine)
        if name != "pool":  # QDQ gives it the scale of what it reads
            assert one.output.key == two.output.key
    weight = other.case.plan.layers["block"].weight
    assert isinstance(weight, StoredWeight) and np.array_equal(
        weight.integers.numpy(), stored["block.weight_quantized"]
    )
    bias = other.case.plan.layers["block"].stored_bias
    assert bias is not None and np.array_equal(bias.integers.numpy(), stored["block.bias_quantized"])


def test_a_file_of_another_network_is_refused(folder: Path) -> None:
    weight = np.random.default_rng(5).standard_normal((4, 3, 3, 3)).astype(np.float32)
    other = onnx_bytes([node("Conv", "x w", "y", "other")], {"x": ("float32", ["N", 3, 8, 8])}, {"w": weight})
    (folder / "other_net.onnx").write_bytes(other)
    with pytest.raises(ConfigError, match=r"int8\.onnx was not made from this network: none of its 3 layers"):
        opened(folder, "int8.onnx", "other_net.onnx")
    with pytest.raises(ConfigError, match=r"net\.onnx is not quantized"):
        opened(folder, "net.onnx")


def quantizing(tensor: str, number: str) -> list[object]:
    names = f"{tensor}{number}"
    return [
        node("QuantizeLinear", f"{tensor} s{number} z", f"{names}_q", f"{names}_q"),
        node("DequantizeLinear", f"{names}_q s{number} z", f"{names}_d", f"{names}_d"),
    ]


def numbers(*scales: float) -> dict[str, Array]:
    found: dict[str, Array] = {f"s{i}": np.asarray(s, np.float32) for i, s in enumerate(scales)}
    return found | {"z": np.asarray(3, np.uint8)}


def test_values_that_are_quantized_twice_go_through_both(tmp_path: Path) -> None:
    nodes = [*quantizing("x", "0"), *quantizing("x0_d", "1"), node("Sigmoid", "x0_d1_d", "y", "gate")]
    (tmp_path / "twice.onnx").write_bytes(onnx_bytes(nodes, {"x": ("float32", ["N", 7])}, numbers(0.1, 0.25)))
    network = load_network((tmp_path / "twice.onnx").read_bytes(), "twice.onnx")
    assert network.integers is not None
    both = InTurn.of(network.integers.outputs["x"])
    x = np.linspace(-2.0, 30.0, 7 * 50, dtype=np.float32).reshape(50, 7)
    wanted = values_at((tmp_path / "twice.onnx").read_bytes(), x, ["x0_d1_d"])["x0_d1_d"]
    assert np.array_equal(both.fake_quantize(torch.from_numpy(x)).numpy(), wanted)
    assert not np.array_equal(network.integers.outputs["x"][1].fake_quantize(torch.from_numpy(x)).numpy(), wanted)


def test_readers_that_get_a_tensor_in_different_ways_are_told(tmp_path: Path) -> None:
    nodes = [node("Sigmoid", "x", "h", "gate"), *quantizing("h", "0"), node("Add", "h h0_d", "y", "sum")]
    network = load_network(onnx_bytes(nodes, {"x": ("float32", ["N", 7])}, numbers(0.1)), "uneven.onnx")
    assert network.integers is not None and network.integers.uneven == ("h",)


def test_a_scale_of_zero_is_refused() -> None:
    nodes = [*quantizing("x", "0"), node("Sigmoid", "x0_d", "y", "gate")]
    with pytest.raises(LoadError, match="QuantizeLinear x0_q: a scale is zero, negative or not finite"):
        load_network(onnx_bytes(nodes, {"x": ("float32", ["N", 7])}, numbers(0.0)), "zero.onnx")
