"""A repaired plan written into the quantized file: read back it is that plan, and onnxruntime runs it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx_ir")
pytest.importorskip("onnxruntime")
import onnx
import onnxruntime as ort
from onnxruntime.quantization import QuantFormat

from qdiag.config import change_scheme
from qdiag.errors import RepairRefused
from qdiag.loaders.models.formats import load_subject
from qdiag.numerics.quantizers.affine import Affine
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.deployed.edits import tensor_edits
from qdiag.pipeline.deployed.plan import quantized_tensors
from qdiag.pipeline.deployed.repaired import RepairedFile
from qdiag.pipeline.preparation.given import datasets_of, scheme_of
from qdiag.pipeline.verify.verify import integer_names
from qdiag.repairs.base import RepairContext
from qdiag.repairs.table import REPAIRS
from qdiag.runtimes.onnxruntime import OnnxruntimeNetwork
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme, with_tensors
from qdiag.simulate.passes.weights import simulated_weights
from qdiag.simulate.session import Session
from tests.networks.onnx_files import Array
from tests.networks.quantized_files import float_cnn, quantized

X = np.random.default_rng(1).standard_normal((12, 3, 8, 8)).astype(np.float32)
CHANGES = {
    "another range of an output": ["layers.sum.activations.range=[0.0, 4.0]"],
    "an output in 16 bits": ["layers.block.activations.bits=16"],
    "an output in float": ["layers.block.activations.bits=32"],
    "the last output in float": ["layers.head.activations.bits=32"],
    "weights with one scale": ["layers.block.weights.calibrator=minmax", "layers.block.weights.granularity=per_tensor"],
    "weights of a linear layer in 16 bits": ["layers.head.weights.bits=16"],
    "weights in float": ["layers.stem.weights.bits=32"],
    "a bias in float": ["layers.head.bias=float"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("repaired")
    (made / "net.onnx").write_bytes(float_cnn())
    (made / "int8.onnx").write_bytes(quantized(float_cnn(), X, made))
    packed = quantized(float_cnn(), X, made, quant_format=QuantFormat.QOperator)
    (made / "packed.onnx").write_bytes(packed)
    return made


def opened(folder: Path, file: str) -> Experiment:
    other = load_subject(folder / file)
    subject = load_subject(folder / "net.onnx", kept=frozenset(quantized_tensors(other)))
    return begin(Session(), subject, datasets_of(torch.from_numpy(X), None), scheme_of("int8"), quantized=other)


@pytest.fixture(scope="module")
def experiment(folder: Path) -> Experiment:
    return opened(folder, "int8.onnx")


@pytest.fixture(scope="module")
def packed(folder: Path) -> Experiment:
    return opened(folder, "packed.onnx")


def repaired(experiment: Experiment, after: Case) -> bytes:
    assert experiment.deployed is not None
    edits = tensor_edits(experiment.deployed, experiment.case, after)
    return RepairedFile(experiment.deployed, edits, after).content()


def run(content: bytes) -> Array:
    onnx.checker.check_model(onnx.ModelProto.FromString(content))
    found: Array = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": X})[0]
    return found


def assert_same_plan(case: Case, other: Case) -> None:
    for layer in case.network.graph.layers:
        one, two = case.plan.layers[layer.name], other.plan.layers[layer.name]
        assert (one.output is None) == (two.output is None), layer.name
        if isinstance(one.output, Affine) and isinstance(two.output, Affine):
            assert one.output.key == two.output.key, layer.name
        here, there = (simulated_weights(c.network, c.plan, layer) for c in (case, other))
        for a, b in ((here.weight, there.weight), (here.bias, there.bias)):
            assert (a is None) == (b is None)
            assert a is None or b is None or torch.allclose(a, b, rtol=1e-6, atol=1e-9), layer.name


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_read_back(folder: Path, experiment: Experiment, name: str) -> None:
    case = experiment.case
    after = with_scheme(Session(), case, change_scheme(case.scheme, CHANGES[name]))
    content = repaired(experiment, after)
    (folder / "fixed.onnx").write_bytes(content)
    assert_same_plan(after, opened(folder, "fixed.onnx").case)
    before = run((folder / "int8.onnx").read_bytes())
    moved = np.abs(run(content) - before).max()
    assert moved < 1.0  # no nonsense
    assert moved > 0.0 or "bias" in name  # whose rounding is far below a step of the output


def test_other_float_weights_are_rounded_with_the_scales_of_the_file(folder: Path, experiment: Experiment) -> None:
    bias = experiment.case.tensors["block.bias"] + 0.05
    after = with_tensors(Session(), experiment.case, {"block.bias": bias}, recalibrate=False)
    content = repaired(experiment, after)
    numbers = {
        one.name: onnx.numpy_helper.to_array(one) for one in onnx.ModelProto.FromString(content).graph.initializer
    }
    old = onnx.ModelProto.FromString((folder / "int8.onnx").read_bytes()).graph.initializer
    olds = {one.name: onnx.numpy_helper.to_array(one) for one in old}
    changed = {name for name in olds if name in numbers and not np.array_equal(olds[name], numbers[name])}
    assert changed == {"block.bias_quantized"}
    unit = olds["r_scale"].astype(np.float64) * olds["block.weight_scale"].astype(np.float64)
    assert np.array_equal(numbers["block.bias_quantized"], np.round(bias.double().numpy() / unit).astype(np.int32))


def test_weights_of_another_size_get_scales_of_their_own(folder: Path, experiment: Experiment) -> None:
    """The ranges of the file go with the values that they were made for; those of all other tensors stay."""
    case = experiment.case
    weight = case.tensors["block.weight"] / 16.0
    after = with_tensors(Session(), case, {"block.weight": weight}, recalibrate=True)
    old, new = case.plan.layers, after.plan.layers
    rounded = new["block"].weight
    assert isinstance(rounded, Affine)
    largest = np.abs(weight.numpy()).reshape(len(weight), -1).max(axis=1)
    steps = (rounded.quant_max - rounded.quant_min) / 2.0
    assert np.allclose(rounded.scale.numpy(), largest / steps, rtol=1e-6)
    kept = [name for name in ("stem", "head") if new[name].weight is old[name].weight]
    assert kept == ["stem", "head"] and new["stem"].output is old["stem"].output
    sums = (plan["sum"].output for plan in (old, new))
    one, other = (float(output.scale) for output in sums if isinstance(output, Affine))
    assert other != one  # what is added to it has become smaller
    (folder / "smaller.onnx").write_bytes(repaired(experiment, after))
    assert_same_plan(after, opened(folder, "smaller.onnx").case)


def test_a_weight_that_moves_no_activation_leaves_their_ranges(experiment: Experiment) -> None:
    case = experiment.case
    after = with_tensors(Session(), case, {"block.weight": case.tensors["block.weight"] / 16.0}, recalibrate=False)
    outputs = [(case.plan.layers[name].output, after.plan.layers[name].output) for name in after.plan.layers]
    assert all(one is other for one, other in outputs)
    assert after.plan.layers["block"].weight is not case.plan.layers["block"].weight


PACKED: dict[str, tuple[list[str], set[str]]] = {
    "ranges, also of what is moved, and weights with one scale": (
        [
            "layers.stem.activations.range=[0.0, 4.0]",
            *CHANGES["another range of an output"],
            *CHANGES["weights with one scale"],
        ],
        set(),
    ),
    "an output that is moved and weights in 16 bits, a bias in float": (
        ["layers.stem.activations.bits=16", "layers.head.weights.bits=16", "layers.block.bias=float"],
        {"stem_quant", "block_quant", "sum_quant", "head_quant"},
    ),
    "outputs and weights in float": (
        ["layers.block.activations.bits=32", "layers.head.activations.bits=32", "layers.stem.weights.bits=32"],
        {"stem_quant", "block_quant", "sum_quant", "head_quant"},
    ),
}
"""Changes of a file of operators on integers, and the operators that cannot hold them."""


@pytest.mark.parametrize("name", PACKED)
def test_a_change_of_operators_on_integers_is_read_back(folder: Path, packed: Experiment, name: str) -> None:
    """What such an operator can hold stands in it; the others are taken apart, and no more of them than needed."""
    changes, taken_apart = PACKED[name]
    case = packed.case
    after = with_scheme(Session(), case, change_scheme(case.scheme, changes))
    content = repaired(packed, after)
    (folder / "fixed.onnx").write_bytes(content)
    assert_same_plan(after, opened(folder, "fixed.onnx").case)
    before = (folder / "packed.onnx").read_bytes()
    assert 0.0 < np.abs(run(content) - run(before)).max() < 1.0
    old, new = (_packed_nodes(one) for one in (before, content))
    assert old - new == taken_apart and new <= old


def test_every_layer_of_operators_on_integers_is_compared(folder: Path, packed: Experiment) -> None:
    deployed = OnnxruntimeNetwork((folder / "packed.onnx").read_bytes())
    names = integer_names(packed, deployed)
    plans = packed.case.plan.layers
    assert {layer for layer in plans if plans[layer].output is not None and layer not in names} == set()
    assert set(names.values()) <= set(deployed.tensors)


def _packed_nodes(content: bytes) -> set[str]:
    nodes = onnx.ModelProto.FromString(content).graph.node
    return {one.name for one in nodes if one.op_type.startswith(("QLinear", "QGemm"))}


def test_nothing_to_write_is_refused(experiment: Experiment) -> None:
    with pytest.raises(RepairRefused, match="no repair that a file can hold"):
        repaired(experiment, experiment.case)


def test_batchnorms_that_a_file_quantizes_are_not_folded_under_its_plan(experiment: Experiment) -> None:
    """Its numbers are those of the BatchNorms apart."""
    apart = replace(experiment.case, scheme=replace(experiment.case.scheme, fold_batchnorm=False))
    with pytest.raises(RepairRefused, match="the file quantizes each BatchNorm"):
        REPAIRS["fold_batchnorm"].apply(apart, [], RepairContext(None, {}, Session()))
